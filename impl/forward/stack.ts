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

/** `uplinks`: the names of those of the container. */
export function enableForwarding(uplinks: readonly string[]): void {
	for (const uplink of uplinks) keepHearingRouters(uplink);
	for (const name of FORWARDING) {
		if (readSysctl(name) === '1') continue;
		for (const { files, off } of FOLLOWING[name]) {
			for (const file of globSync(files, { cwd: '/proc/sys' })) if (readSysctl(file) !== off) remember(file);
		}
		remember(name);
		writeSysctl(name, '1');
	}
}

/**
 * A device hears router advertisements (1) only until its host forwards, and the default route that it learnt from them is gone at once;
 * one that is to hear them all the same (2) keeps it: rt6_purge_dflt_routers in net/ipv6/route.c.
 */
function keepHearingRouters(uplink: string): void {
	const name = `net/ipv6/conf/${uplink}/accept_ra`;
	if (readSysctl(name) !== '1') return;
	remember(name);
	writeSysctl(name, '2');
}

/** Whether forwarding was switched on here. */
export function hasSwitched(): boolean {
	return former().length > 0;
}

/** Everything as it was: the two first, since the others follow them. */
export function restoreForwarding(): void {
	const first = ({ name }: Former) => FORWARDING.some((one) => one === name);
	putBack([...former().filter(first), ...former().filter((one) => !first(one))]);
}

function former(): Former[] {
	return remembered().filter(({ name }) => !isLinkdownSwitch(name));
}

/** bpf_fib_lookup answers only for a device that forwards. What the program then passes to the stack is for the host itself. */
export function enableDeviceForwarding(device: string): void {
	for (const family of ['ipv6', 'ipv4']) writeSysctl(`net/${family}/conf/${device}/forwarding`, '1');
}
