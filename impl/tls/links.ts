/**
 * The programs that turn a container's flows to its forward proxy, on the cgroups of both or on its devices, each by a link that is pinned
 * in a folder of the container's name. Who owns a netns can take none of them away.
 */
import { closeSync, existsSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { deviceIndex } from '../addresses.ts';
import { withPinned } from '../forward/attach.ts';
import { PIN_ROOT, withProgram } from '../forward/datapath.ts';
import { linkAndPin } from '../identity/links.ts';
import { detachLink, type LinkKind, linkCgroup, linkProgram, pin } from '../libbpf/attach.ts';
import { cgroupLinkInfo, linkedDevice } from '../libbpf/enumerate.ts';
import { inNetns } from '../netns.ts';
import { ALL_TLS_PROGRAMS, isOnDevice, TLS_HOOKS, type TlsProgram } from './programs.ts';

const FOLDERS = join(PIN_ROOT, 'tls');

export interface TlsLink {
	container: string;
	program: TlsProgram;
	pin: string;
}

/** What the kernel says of it. */
export interface LookedAtTlsLink extends TlsLink {
	/** its program's id; null: what it is attached to is gone, or the link was detached */
	running: number | null;
	/** the id of its cgroup, or the index of its device in whatever netns; 0 where that is gone */
	at: bigint;
}

/** Where one is attached to: a cgroup, or a device of a netns, null of the host's. */
export type TlsPlace = { path: string; id: bigint } | { netns: string | null; device: string; kind: LinkKind };

/**
 * Attaches once: what is attached there already is left as it is. On a cgroup behind all others, where identity.bpf.c has done its part; on
 * a device before them.
 */
export function attachTls(container: string, program: TlsProgram, place: TlsPlace): void {
	const link = linkOf(container, program);
	const at = 'id' in place ? place.id : BigInt(inNetns(place.netns, () => deviceIndex(place.device)));
	if (existsSync(link.pin)) {
		if (lookAtTlsLink(link).at === at) return;
		unlinkSync(link.pin);
	}
	mkdirSync(join(FOLDERS, container), { recursive: true });
	if (isOnDevice(program)) linkDevice(program, link.pin, place as Extract<TlsPlace, { kind: LinkKind }>);
	else {
		const { path } = place as Extract<TlsPlace, { path: string }>;
		linkAndPin(path, program, link.pin, (fd, directory) => linkCgroup(fd, directory, TLS_HOOKS[program]));
	}
}

function linkDevice(program: TlsProgram, at: string, { netns, device, kind }: Extract<TlsPlace, { kind: LinkKind }>) {
	withProgram(program, ({ fd }) => {
		const made = inNetns(netns, () => linkProgram(fd, deviceIndex(device), kind, 'first'));
		try {
			pin(made, at);
		} finally {
			closeSync(made);
		}
	});
}

/** Those of which there are links, or an interrupted call was about to pin some. */
export function turnedContainers(): string[] {
	return existsSync(FOLDERS) ? readdirSync(FOLDERS) : [];
}

export function isTurned(container: string): boolean {
	return existsSync(join(FOLDERS, container));
}

/** Of one container, or of all. */
export function tlsLinks(container?: string): TlsLink[] {
	if (container === undefined) return turnedContainers().flatMap((name) => tlsLinks(name));
	return ALL_TLS_PROGRAMS.map((program) => linkOf(container, program)).filter((link) => existsSync(link.pin));
}

export function lookAtTlsLink(link: TlsLink): LookedAtTlsLink {
	const { program, at } = withPinned(link.pin, (fd) => {
		const { program, cgroup } = cgroupLinkInfo(fd);
		return { program, at: isOnDevice(link.program) ? BigInt(linkedDevice(fd)) : cgroup };
	});
	return { ...link, running: at ? program : null, at };
}

/** What turns goes before what shows. */
export function detachTls(container: string): void {
	for (const one of tlsLinks(container).reverse()) {
		withPinned(one.pin, detachLink);
		unlinkSync(one.pin);
	}
	if (isTurned(container)) rmdirSync(join(FOLDERS, container));
}

function linkOf(container: string, program: TlsProgram): TlsLink {
	return { container, program, pin: join(FOLDERS, container, program) };
}
