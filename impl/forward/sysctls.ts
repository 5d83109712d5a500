/** Sysctls of the host that are changed for containers, and what they were before: that is remembered in bpffs, first. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PIN_ROOT } from './datapath.ts';

/** Directories `net@ipv4@ip_forward=0`: what a sysctl was before it was changed here. bpffs takes no dots, and devices have them. */
const FORMER = join(PIN_ROOT, 'sysctls');

export interface Former {
	/** with slashes, below /proc/sys */
	name: string;
	value: string;
	path: string;
}

/** Before a change: whoever is killed between has changed nothing that is not known. */
export function remember(name: string): void {
	mkdirSync(join(FORMER, `${name.replaceAll('/', '@').replaceAll('.', '%')}=${readSysctl(name)}`), { recursive: true });
}

export function remembered(): Former[] {
	if (!existsSync(FORMER)) return [];
	return readdirSync(FORMER).map((mark) => {
		const [name = '', value = ''] = mark.split('=');
		return { name: name.replaceAll('@', '/').replaceAll('%', '.'), value, path: join(FORMER, mark) };
	});
}

/** In this order, and forgotten only then: what one changes beside itself is put back by those behind it. */
export function putBack(former: readonly Former[]): void {
	for (const { name, value } of former) {
		if (existsSync(`/proc/sys/${name}`) && readSysctl(name) !== value) writeSysctl(name, value);
	}
	for (const { path } of former) rmdirSync(path);
	if (existsSync(FORMER) && !readdirSync(FORMER).length) rmdirSync(FORMER);
}

export function readSysctl(name: string): string {
	return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
}

export function writeSysctl(name: string, value: string): void {
	writeFileSync(`/proc/sys/${name}`, value);
}
