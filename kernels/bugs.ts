/**
 * What kernels are known to do wrong, and the release of each series that mends it. A test asks the running kernel whether it does, and
 * fails where this table says otherwise: a backport that came, or one that was lost.
 */
import type { Kernel } from './kernel.ts';
import { compareUpstream } from './versions.ts';

export interface KernelBug {
	/** what a kernel with it does */
	what: string;
	/** the release that brought it, and its commit */
	since: { release: string; commit: string };
	/** the commit that mends it, and the first release with that */
	fix: { release: string; commit: string };
	/** by series: the first stable release with a backport of it */
	backports: Record<string, string>;
	source: string;
}

/** Commits as in the kernel's own log, https://git.kernel.org/torvalds/c/COMMIT. */
export const BUGS = {
	'udp-wildcard-bind': {
		what: 'binds UDP to a wildcard beside more than ten sockets at addresses of that port',
		since: { release: '2.6.33', commit: '30fff9231fad' },
		fix: { release: '7.0', commit: 'e537dd15d0d4' },
		backports: { '6.1': '6.1.168', '6.6': '6.6.131', '6.12': '6.12.80', '6.18': '6.18.21', '6.19': '6.19.11' },
		source: 'CVE-2026-31503',
	},
	'orphan-abort': {
		what: 'takes from a TCP socket that nobody has open what it would send, when told to destroy it, and leaves it there for ever',
		since: { release: '4.5', commit: 'c1e64e298b8c' },
		fix: { release: '6.11', commit: 'bac76cf89816' },
		backports: { '6.1': '6.1.132', '6.6': '6.6.84', '6.10': '6.10.8' },
		source: 'tcp_abort',
	},
} as const satisfies Record<string, KernelBug>;

export interface BugClaim {
	broken: boolean;
	/** names the fix */
	because: string;
}

/** Pure. */
export function bugClaim({ series, version }: Pick<Kernel, 'series' | 'version'>, name: keyof typeof BUGS): BugClaim {
	const { what, since, fix, backports, source }: KernelBug = BUGS[name];
	const mended = backports[series];
	const told = `${fix.commit} mends that (${source}), in Linux ${fix.release}${mended ? ` and ${mended}` : ''}`;
	const broken =
		compareUpstream(version, since.release) >= 0 &&
		compareUpstream(version, fix.release) < 0 &&
		!(mended && compareUpstream(version, mended) >= 0);
	return { broken, because: `kernels/bugs.ts: Linux ${version} ${broken ? '' : 'no more '}${what}; ${told}` };
}
