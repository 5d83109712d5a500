/**
 * The programs that turn a container's flows to its forward proxy, on the cgroups of both, each by a link that is pinned in a folder of
 * the container's name.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { withPinned } from '../forward/attach.ts';
import { PIN_ROOT } from '../forward/datapath.ts';
import { linkAndPin } from '../identity/links.ts';
import { detachLink, linkCgroup } from '../libbpf/attach.ts';
import { cgroupLinkInfo } from '../libbpf/enumerate.ts';
import { ALL_TLS_PROGRAMS, TLS_HOOKS, type TlsProgram } from './programs.ts';

const FOLDERS = join(PIN_ROOT, 'tls');

export interface TlsLink {
	container: string;
	program: TlsProgram;
	pin: string;
}

/** What the kernel says of it. */
export interface LookedAtTlsLink extends TlsLink {
	/** its program's id; null: the cgroup is gone, or the link was detached */
	running: number | null;
	/** 0 where that is gone */
	cgroup: bigint;
}

/**
 * Attaches once: what is attached to this very cgroup already is left as it is. Behind all others, where identity.bpf.c has done its part.
 */
export function attachTls(container: string, path: string, cgroup: bigint, program: TlsProgram): void {
	const link = linkOf(container, program);
	if (existsSync(link.pin)) {
		if (lookAtTlsLink(link).cgroup === cgroup) return;
		unlinkSync(link.pin);
	}
	mkdirSync(join(FOLDERS, container), { recursive: true });
	linkAndPin(path, program, link.pin, (fd, directory) => linkCgroup(fd, directory, TLS_HOOKS[program]));
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
	const { program, cgroup } = withPinned(link.pin, cgroupLinkInfo);
	return { ...link, running: cgroup ? program : null, cgroup };
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
