/** A BPF map, by its file descriptor. Keys and values are bytes in the layout of the C source. */
import { readFileSync } from 'node:fs';
import { DatapathError } from '../errors.ts';
import { check, native } from './native.ts';

const ENOENT = 2;
/** Through all keys of a map, for one look at them. */
const MOST_LAPS = 10;

export class BpfMap {
	readonly name: string;
	readonly fd: number;
	readonly #keySize: number;
	readonly #valueSize: number;

	/** Sizes in bytes, as `keys` and `lookup` need them. */
	constructor(name: string, fd: number, keySize: number, valueSize: number) {
		this.name = name;
		this.fd = fd;
		this.#keySize = keySize;
		this.#valueSize = valueSize;
	}

	update(key: Uint8Array, value: Uint8Array): void {
		check(native.bpf_map_update_elem(this.fd, key, value, 0), `map ${this.name}: update`);
	}

	/** null where there is no such key */
	lookup(key: Uint8Array): Buffer | null {
		return this.#lookup(key, this.#valueSize);
	}

	/** Of a map by CPU, whose values are multiples of 8 bytes: one behind the other, of each that this machine may have. */
	lookupEachCpu(key: Uint8Array): Buffer | null {
		return this.#lookup(key, this.#valueSize * possibleCpus());
	}

	#lookup(key: Uint8Array, size: number): Buffer | null {
		const value = Buffer.alloc(size);
		const status: number = native.bpf_map_lookup_elem(this.fd, key, value);
		if (status === -ENOENT) return null;
		check(status, `map ${this.name}: lookup`);
		return value;
	}

	/** In no order; what is added or deleted while this runs may be missed. */
	keys(): Buffer[] {
		return [...this.eachKey()];
	}

	/** The same, each once, as far as they are asked for. Throws a DatapathError where keys go faster than they are read. */
	*eachKey(): Generator<Buffer, undefined> {
		const seen = new Set<string>();
		let again = 0;
		for (let last: Buffer | null = null; ; ) {
			const next = Buffer.alloc(this.#keySize);
			const status: number = native.bpf_map_get_next_key(this.fd, last, next);
			if (status === -ENOENT) return;
			check(status, `map ${this.name}: next key`);
			last = next;
			// behind a key that was deleted meanwhile the kernel begins anew
			if (seen.has(next.toString('latin1'))) {
				if (++again > MOST_LAPS * seen.size)
					throw new DatapathError(`map ${this.name}: its keys are deleted faster than they are read`);
				continue;
			}
			seen.add(next.toString('latin1'));
			yield next;
		}
	}

	/** Answers whether there was such a key. */
	delete(key: Uint8Array): boolean {
		const status: number = native.bpf_map_delete_elem(this.fd, key);
		if (status === -ENOENT) return false;
		check(status, `map ${this.name}: delete`);
		return true;
	}
}

/** /sys says `0-3` of all CPUs that this machine may have. */
function possibleCpus(): number {
	return 1 + Number(/\d+$/.exec(readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim())![0]);
}

/** The key or value of an array map: a u32 of this machine's byte order. */
export function u32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}
