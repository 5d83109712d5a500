/** Through the host's IP stack: what everybody has, and what the other ways are measured against. */
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PIN_ROOT } from './datapath.ts';

/** The one mode that touches a sysctl of the host. Forwarding turns router advertisements off on the uplink. */
const FORWARDING = ['net/ipv6/conf/all/forwarding', 'net/ipv4/ip_forward'] as const;
/** What a change of those two changes too, and to what when they are switched off: net/ipv4/devinet.c, net/ipv6/addrconf.c. */
const FOLLOWING = {
	'net/ipv6/conf/all/forwarding': [{ files: 'net/ipv6/conf/*/forwarding', off: '0' }],
	'net/ipv4/ip_forward': [
		{ files: 'net/ipv4/conf/*/forwarding', off: '0' },
		{ files: 'net/ipv4/conf/all/accept_redirects', off: '1' },
	],
} as const;

/** Directories `net@ipv4@ip_forward=0`: what a sysctl was before it was changed here. bpffs takes no dots, and devices have them. */
const FORMER = join(PIN_ROOT, 'sysctls');

/** Remembers what was there first: whoever is killed between has changed nothing that is not known. */
export function enableForwarding(): void {
	for (const name of FORWARDING) {
		if (read(name) === '1') continue;
		for (const { files, off } of FOLLOWING[name]) {
			for (const file of globSync(files, { cwd: '/proc/sys' })) if (read(file) !== off) remember(file, read(file));
		}
		remember(name, read(name));
		write(name, '1');
	}
}

/** Whether forwarding was switched on here. */
export function hasSwitched(): boolean {
	return existsSync(FORMER) && readdirSync(FORMER).length > 0;
}

/** Everything as it was: the two first, since the others follow them. */
export function restoreForwarding(): void {
	if (!existsSync(FORMER)) return;
	const all = readdirSync(FORMER).map((mark) => {
		const [name = '', value = ''] = mark.split('=');
		return { mark, name: name.replaceAll('@', '/').replaceAll('%', '.'), value };
	});
	const first = (name: string) => FORWARDING.some((one) => one === name);
	for (const { name, value } of [...all.filter((one) => first(one.name)), ...all.filter((one) => !first(one.name))]) {
		if (existsSync(`/proc/sys/${name}`) && read(name) !== value) write(name, value);
	}
	// only now: the followers of one that is put back again would be lost
	for (const { mark } of all) rmdirSync(join(FORMER, mark));
	rmdirSync(FORMER);
}

/** bpf_fib_lookup answers only for a device that forwards. What the program then passes to the stack is for the host itself. */
export function enableDeviceForwarding(device: string): void {
	for (const family of ['ipv6', 'ipv4']) write(`net/${family}/conf/${device}/forwarding`, '1');
}

function remember(name: string, value: string): void {
	mkdirSync(join(FORMER, `${name.replaceAll('/', '@').replaceAll('.', '%')}=${value}`), { recursive: true });
}

function read(name: string): string {
	return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
}

function write(name: string, value: string): void {
	writeFileSync(`/proc/sys/${name}`, value);
}
