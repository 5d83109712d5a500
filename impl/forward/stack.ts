/** Through the host's IP stack: what everybody has, and what the other ways are measured against. */
import { globSync } from 'node:fs';
import { isLinkdownSwitch } from './linkdown.ts';
import { type Former, putBack, readSysctl, remember, remembered, writeSysctl } from './sysctls.ts';

/** The one mode that touches a sysctl of the host. */
const FORWARDING = ['net/ipv6/conf/all/forwarding', 'net/ipv4/ip_forward'] as const;
/** What a change of those two changes too, and to what when they are switched off: net/ipv4/devinet.c, net/ipv6/addrconf.c. */
const FOLLOWING = {
	'net/ipv6/conf/all/forwarding': [{ files: 'net/ipv6/conf/*/forwarding', off: '0' }],
	'net/ipv4/ip_forward': [
		{ files: 'net/ipv4/conf/*/forwarding', off: '0' },
		{ files: 'net/ipv4/conf/all/accept_redirects', off: '1' },
	],
} as const;

/** `ours`: the host's ends of containers, which are to hear no router. */
export function enableForwarding(ours: ReadonlySet<string>): void {
	for (const name of FORWARDING) {
		if (readSysctl(name) === '1') continue;
		if (name.startsWith('net/ipv6')) keepHearingRouters(ours);
		for (const { files, off } of FOLLOWING[name]) {
			for (const file of globSync(files, { cwd: '/proc/sys' })) if (readSysctl(file) !== off) remember(file);
		}
		remember(name);
		writeSysctl(name, '1');
	}
}

const HEARING = /^net\/ipv6\/conf\/(.+)\/accept_ra$/;

/**
 * As soon as one device of a netns begins to forward, the default routes that it learnt from routers are gone, by whichever device they
 * were: rt6_purge_dflt_routers in net/ipv6/route.c. A device that is to hear advertisements though it forwards (2) keeps them; one that
 * is to only until then (1) is told so, where it hears them now. Answers what it has changed.
 */
function keepHearingRouters(ours: ReadonlySet<string>): string[] {
	const hearing = globSync('net/ipv6/conf/*/accept_ra', { cwd: '/proc/sys' }).filter((name) => {
		const device = HEARING.exec(name)![1]!;
		return (
			!['all', 'default'].includes(device) &&
			!ours.has(device) &&
			readSysctl(name) === '1' &&
			readSysctl(`net/ipv6/conf/${device}/forwarding`) === '0'
		);
	});
	for (const name of hearing) {
		remember(name);
		writeSysctl(name, '2');
	}
	return hearing;
}

/** Whether forwarding was switched on here. */
export function hasSwitched(): boolean {
	return former().length > 0;
}

/** Everything as it was: the two first, since the others follow them; who hears routers last, since others may begin to forward again. */
export function restoreForwarding(): void {
	const turn = ({ name }: Former) => (FORWARDING.some((one) => one === name) ? 0 : HEARING.test(name) ? 2 : 1);
	putBack(former().sort((one, other) => turn(one) - turn(other)));
}

function former(): Former[] {
	return remembered().filter(({ name }) => !isLinkdownSwitch(name));
}

/** bpf_fib_lookup answers only for a device that forwards. What the program then passes to the stack is for the host itself. `ours`: as above. */
export function enableDeviceForwarding(device: string, ours: ReadonlySet<string>): void {
	const kept = keepHearingRouters(ours);
	for (const family of ['ipv6', 'ipv4']) writeSysctl(`net/${family}/conf/${device}/forwarding`, '1');
	putBack(former().filter(({ name }) => kept.includes(name)));
}
