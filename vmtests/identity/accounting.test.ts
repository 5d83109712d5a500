/** What `net show` counts of a container, by its sockets and what they carry. */
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { identity, identityScene } from './scene.ts';

const PORT = 7;

/** Prints how many bytes of datagrams it had back: of one alone, of one in fragments, of ten by UDP_SEGMENT, of one that is connected. */
const TALK = `
import socket, sys
UDP_SEGMENT, UDP_GRO = 103, 104
peer, own = sys.argv[1:]
family = socket.AF_INET6 if ':' in peer else socket.AF_INET
def new(kind=socket.SOCK_DGRAM):
    one = socket.socket(family, kind)
    one.settimeout(20)
    return one
def answers(one, count):
    return sum(len(one.recv(65535)) for _ in range(count))
s = new()
s.sendto(bytes(1), (peer, ${PORT}))
back = answers(s, 1)
s.sendto(bytes(20000), (peer, ${PORT}))
back += answers(s, 1)
s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
s.sendto(bytes(9500), (peer, ${PORT}))
back += answers(s, 10)
c = new()
c.connect((peer, ${PORT}))
c.send(bytes(100))
back += answers(c, 1)
r = new()
r.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
r.bind((own, 9))
s.sendto(bytes(5000), (own, 9))
got = 0
while got < 5000: got += answers(r, 1)
t = new(socket.SOCK_STREAM)
t.connect((peer, ${PORT}))
t.makefile().read()
t.close()
print(back + got)`;
const SENT = 1 + 20_000 + 9500 + 100 + 5000;

test('bytes are counted of TCP as a connection ends, and of UDP where that is asked for: of datagrams, however they travel', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, run, serve } = await identityScene(lab);
	await using _peer = await serve(null, '::', PORT);
	for (const [peer, own, answer] of [
		[PEER.ipv6, '::1', '2001:db8:0:2::10 2001:db8:0:1::2'],
		[PEER.ipv4, '127.0.0.1', '::ffff:198.51.100.10 ::ffff:192.0.2.2'],
	] as const)
		for (const countUdp of [true, false]) {
			await net.addContainer(identity('web', { countUdp }));
			const back = Number((await run('web', ['python3', '-c', TALK, peer, own], { timeout: 60_000 })).stdout);
			const { counts } = (await net.showContainer('web')).identity!;
			expect({ peer, countUdp, counts }).toMatchObject({
				counts: {
					FLOWS_OUT: 1,
					// a SYN and a FIN; and a FIN
					BYTES_SENT: 2,
					BYTES_RECEIVED: answer.length + 1,
					UDP_BYTES_SENT: countUdp ? SENT : 0,
					UDP_BYTES_RECEIVED: countUdp ? back : 0,
				},
			});
			await net.removeContainer('web');
		}
});
