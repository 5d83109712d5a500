/**
 * The tracer on this host's own kernel: the programs that run in guests, loaded by this process and gone with it. It watches what the
 * kernel lets be watched: without ftrace and kprobes, its tracepoints alone.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PathproofError } from '../../../kernels/errors.ts';
import { bpfObjects } from '../build.ts';
import type { Tracer } from './follow.ts';
import { HOOKS } from './hooks.ts';

export interface Live extends AsyncDisposable {
	/** as `uname -r` says it */
	kernel: string;
	tracer: Tracer;
	/** kernel functions and tracepoints */
	watched: string[];
	/** those that this kernel does not have, or does not let be watched */
	unwatched: string[];
}

const BTF = '/sys/kernel/btf/vmlinux';

/** Throws a PathproofError (`setup`) where this process may not load BPF programs, or this kernel cannot. */
export async function openLive(): Promise<Live> {
	if (process.getuid?.() !== 0) throw refused('only root may load BPF programs', 'sudo npx pathproof trace --live');
	if (!existsSync(BTF))
		throw refused(`it does not show its types: ${BTF} is not there`, 'a kernel with CONFIG_DEBUG_INFO_BTF=y');
	const dir = await mkdtemp(join(tmpdir(), 'pathproof-live-'));
	const remove = () => rm(dir, { recursive: true });
	try {
		for (const [path, bytes] of Object.entries(await bpfObjects())) {
			await mkdir(dirname(join(dir, path)), { recursive: true });
			await writeFile(join(dir, path), bytes);
		}
		process.env.PATHPROOF_BPF = join(dir, 'bpf'); // where impl/objects.ts looks
		const tracer = await import('../guest/tracer.ts');
		const watched = await attach(tracer);
		return {
			kernel: release(),
			tracer,
			watched,
			unwatched: HOOKS.map(({ symbol }) => symbol).filter((symbol) => !watched.includes(symbol)),
			[Symbol.asyncDispose]: remove,
		};
	} catch (error) {
		await remove();
		throw error;
	}
}

async function attach({ attachTracer }: typeof import('../guest/tracer.ts')): Promise<string[]> {
	try {
		return attachTracer().symbols;
	} catch (error) {
		if (!(error instanceof Error) || error.name !== 'DatapathError') throw error;
		const [said] = error.message.split('\ntry: ');
		throw refused(said!, 'is root without CAP_BPF here, as in a container, or is the kernel locked down?', error);
	}
}

function refused(why: string, hint: string, cause?: unknown): PathproofError {
	return new PathproofError(`linux ${release()}, which runs this host, cannot be traced: ${why}`, {
		stage: 'setup',
		hint,
		cause,
	});
}
