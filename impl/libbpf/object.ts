/** A BPF object file: opened, shaped, loaded; then its programs and maps by name. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { DatapathError } from '../errors.ts';
import { BpfMap } from './map.ts';
import { check, checkPointer, native } from './native.ts';

/** Where a kernel shows its own types: most objects are fitted to them. */
const KERNEL_TYPES = '/sys/kernel/btf/vmlinux';
/** linux/bpf_verifier.h, since 5.2 (06ee7115b0d1): a line or two for each program */
const BPF_LOG_STATS = 4;
const STATISTICS_BYTES = 64 * 1024;
const NO_TYPES = 'a kernel that is built with CONFIG_DEBUG_INFO_BTF=y';

export class BpfObject implements Disposable {
	readonly name: string;
	readonly #programs = new Map<string, bigint>();
	#object: bigint | null;

	/** Reads and relocates nothing yet. Throws a DatapathError where the file is missing or no BPF object. */
	static open(path: string): BpfObject {
		if (!existsSync(path))
			throw new DatapathError(`there is no BPF object ${path}`, {
				hint: 'build it first (bpf/build.ts), or set PATHPROOF_BPF to the folder that holds the objects',
			});
		return new BpfObject(path);
	}

	private constructor(path: string) {
		this.name = basename(path).replace(/\.bpf\.o$/, '');
		this.#object = checkPointer(
			native.bpf_object__open_file(path, null),
			`${path} is no BPF object`,
			'build it with clang -target bpf -g',
		);
		let program: bigint | null = null;
		while (true) {
			program = native.bpf_object__next_program(this.#object, program);
			if (program === null) break;
			this.#programs.set(native.bpf_program__name(program), program);
		}
	}

	get programs(): string[] {
		return [...this.#programs.keys()];
	}

	/** Only the programs named are loaded. */
	loadOnly(names: readonly string[]): this {
		for (const [name, program] of this.#programs) {
			check(native.bpf_program__set_autoload(program, names.includes(name)), `${this.name}: ${name}`);
		}
		return this;
	}

	/** Before loading: the BPF program, by fd and its function's full name, that `name` traces. */
	traceProgram(name: string, fd: number, functionName: string): this {
		const status = native.bpf_program__set_attach_target(this.program(name), fd, functionName);
		check(status, `${this.name}: ${name} cannot trace ${functionName}`);
		return this;
	}

	/** Before loading: use a map that exists already in place of the one declared. */
	shareMap(map: BpfMap): this {
		check(native.bpf_map__reuse_fd(this.#mapPointer(map.name), map.fd), `${this.name}: share map ${map.name}`);
		return this;
	}

	/** Before loading: of a ring buffer its bytes, a power of two and whole pages. */
	resizeMap(name: string, maxEntries: number): this {
		check(
			native.bpf_map__set_max_entries(this.#mapPointer(name), maxEntries),
			`${this.name}: ${maxEntries} in ${name}`,
		);
		return this;
	}

	/** Before loading: the whole content of a data section, e.g. `.rodata`. */
	setData(section: string, data: Uint8Array): this {
		const map = this.#mapPointer(section);
		check(native.bpf_map__set_initial_value(map, data, data.length), `${this.name}: set ${section}`);
		return this;
	}

	/** Before loading: the verifier's statistics of a program, to be read once it is loaded. The log of a refusal is in them too. */
	verifierStatistics(name: string): () => string {
		const program = this.program(name);
		const log = Buffer.alloc(STATISTICS_BYTES);
		check(native.bpf_program__set_log_buf(program, log, log.length), `${this.name}: ${name}`);
		check(native.bpf_program__set_log_level(program, BPF_LOG_STATS), `${this.name}: ${name}`);
		return () => log.toString('latin1', 0, log.indexOf(0));
	}

	/** Throws a DatapathError that quotes libbpf's and the verifier's log. */
	load(): this {
		const status = native.bpf_object__load(this.#opened);
		if (existsSync(KERNEL_TYPES))
			check(status, `${this.name}: the kernel does not load it`, 'bpftool feature probe kernel');
		else check(status, `${this.name} is fitted to the types of the kernel, and there is no ${KERNEL_TYPES}`, NO_TYPES);
		return this;
	}

	/** Throws a DatapathError where there is no program of that name. */
	program(name: string): bigint {
		const program = this.#programs.get(name);
		if (program) return program;
		throw new DatapathError(`${this.name} has no program ${name}`, { hint: `use one of ${this.programs.join(', ')}` });
	}

	programFd(name: string): number {
		return check(native.bpf_program__fd(this.program(name)), `${this.name}: ${name} is not loaded`);
	}

	/** The same as a file descriptor of the caller's, which outlives this object. */
	ownProgramFd(name: string): number {
		return check(native.dup(this.programFd(name)), `${this.name}: ${name}`);
	}

	hasMap(name: string): boolean {
		return native.bpf_object__find_map_by_name(this.#opened, name) !== null;
	}

	/** Sizes in bytes; of a ring buffer, which has neither keys nor values, none. */
	map(name: string, keySize = 0, valueSize = 0): BpfMap {
		const fd = check(native.bpf_map__fd(this.#mapPointer(name)), `${this.name}: map ${name}`);
		return new BpfMap(name, fd, keySize, valueSize);
	}

	/** Programs live on while a link or a filter holds them, maps while a program or a pin does. */
	[Symbol.dispose](): void {
		if (this.#object) native.bpf_object__close(this.#object);
		this.#object = null;
	}

	get #opened(): bigint {
		if (!this.#object) throw new DatapathError(`${this.name} is closed`);
		return this.#object;
	}

	#mapPointer(name: string): bigint {
		return checkPointer(
			native.bpf_object__find_map_by_name(this.#opened, name),
			`${this.name} has no map ${name}`,
			'look at its .maps section with bpftool btf dump file',
		);
	}
}
