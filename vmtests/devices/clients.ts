/** Real programs that talk from one end of a lab to another, each by its protocol. What they send answers the trace of it. */
import { randomInt } from 'node:crypto';
import { expect, type Lab, type Node, type Trace } from 'pathproof';
import type { Protocol } from './cells.ts';
import type { Family } from './ways.ts';

export interface Talk {
	lab: Pick<Lab, 'trace'>;
	from: Node;
	to: Node;
	family: Family;
}

/** All but multicast arrive; `answered`: and what they bring goes back. */
export const CLIENTS: Record<Protocol, { answered: boolean; talk(of: Talk): Promise<Trace> }> = {
	tcp: { answered: true, talk: ({ from, to, family }) => from.curl(to, { family }) },
	'udp connected': { answered: true, talk: connected },
	'udp unconnected': { answered: false, talk: ({ from, to, family }) => from.udp(to, 53, { family }) },
	icmp: { answered: true, talk: ({ from, to, family }) => from.ping(to, { family }) },
	multicast: { answered: false, talk: multicast },
};

const ECHO = 7;

/** A socket that knows its peer, and hears from nobody else: a datagram, and the same back. */
async function connected({ lab, from, to, family }: Talk): Promise<Trace> {
	await using server = await to.spawn(['socat', '-dd', `UDP${family}-LISTEN:${ECHO}`, 'PIPE']);
	await server.waitFor(/listening on/);
	const input = nonce();
	return await lab.trace({ protocol: 'udp', family, port: ECHO }, async () => {
		const target = `UDP${family}:${to.literal(family)}:${ECHO},readbytes=${input.length}`;
		const { stdout } = await from.exec(['socat', '-t', '5', '-', target], { input });
		expect(stdout).toBe(input);
	});
}

/** RFC 6676: for documentation, of global scope; a router that routes multicast would take it on. */
export const GROUPS: Record<Family, string> = { 6: 'ff0e::db8:0:1', 4: '233.252.0.1' };
const GROUP_PORT = 5353;

/** One datagram to a group that a socket of the other end has joined. Whether it gets there is the path's to say. */
async function multicast({ lab, from, to, family }: Talk): Promise<Trace> {
	const group = GROUPS[family];
	const [join, literal] =
		family === 6 ? [`ipv6-join-group=[${group}]:eth0`, `[${group}]`] : [`ip-add-membership=${group}:eth0`, group];
	await using listener = await to.spawn(['socat', '-u', '-dd', `UDP${family}-RECV:${GROUP_PORT},${join}`, 'STDOUT']);
	await listener.waitFor(/starting data transfer loop/);
	return await lab.trace({ protocol: 'udp', family, port: GROUP_PORT }, () =>
		from.exec(['socat', '-u', '-', `UDP${family}-SENDTO:${literal}:${GROUP_PORT},so-bindtodevice=eth0`], {
			input: nonce(),
		}),
	);
}

/** What the tracer finds in a payload. */
function nonce(): string {
	return `pathproof-${randomInt(36 ** 6)
		.toString(36)
		.padStart(6, '0')}`;
}
