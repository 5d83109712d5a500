/** That what goes to an alias stays on this host: an ICMP error quotes the datagram that it is about, and goes to where that came from. */
import { ipJson } from '../ip/ip.ts';
import { ipSteps } from '../plan/steps.ts';
import type { Step } from '../step.ts';

/** As in bpf/tls_udp.bpf.c: RFC 6666, which no router takes further. Of IPv4 they are in 127.0.0.0/8. */
const ALIASES = '100::/64';

/** None where it is so already. */
export async function aliasRoute(change: 'add' | 'del'): Promise<Step[]> {
	const there = await ipJson(null, ['-6', 'route', 'show', 'table', 'local', ALIASES]);
	return there.length > 0 === (change === 'add')
		? []
		: ipSteps({ netns: null, family: '-6' }, [`route ${change} local ${ALIASES} dev lo`]);
}
