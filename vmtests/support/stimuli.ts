import type { Lab } from './lab.ts';
import type { Trace } from './trace/trace.ts';

/** What can be sent from the container to the peer, and how. */
export const STIMULI: Record<string, { send(lab: Lab): Promise<Trace>; what: string }> = {
	ping: { send: ({ web, peer }) => web.ping(peer), what: 'an ICMPv6 echo request and its reply' },
	udp: { send: ({ web, peer }) => web.udp(peer, 53), what: 'one datagram to port 53' },
	'udp-closed': { send: ({ web, peer }) => web.udp(peer, 53, { listen: false }), what: 'one that nobody listens for' },
	curl: { send: ({ web, peer }) => web.curl(peer), what: 'one HTTP request over a connection of its own' },
};
