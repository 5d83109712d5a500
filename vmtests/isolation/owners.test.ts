/** What a container's owner may do, and what of others stays hidden from them; and that one who floods hurts nobody else. */
import { buildProgram, expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { arp, buildFrame, neighbourMessage, udp } from '../support/frames.ts';
import { openSender } from '../support/sender.ts';
import { Arena, arenaRequest, DEVICES, gate, PORT } from './arena.ts';

const MINE = 'for-web-alone-4711';
const THEIRS = 'between-peer-and-api-0815';

for (const { device, forward, needs } of DEVICES) {
	test(`the owner of a container on ${device} sees with tcpdump what is theirs, and nothing of others`, {
		tags: [FULL],
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const { web, api, host, peer, vm } = await lab(arenaRequest(device, forward, true));
		await using watch = await vm.spawn(web.asTenant(['tcpdump', '-Z', 'root', '--immediate-mode', '-lAni', 'eth0']));
		await watch.waitFor(/listening on/);
		const say = (from: typeof host, to: typeof host, what: string) =>
			from.exec(['socat', '-u', '-', `UDP6-SENDTO:${to.literal(6)}:${PORT}`], { input: what });
		for (const from of device.startsWith('ipvlan') ? [peer] : [peer, host]) await say(from, api, THEIRS);
		await say(api, peer, THEIRS);
		await say(web, peer, MINE);
		await say(peer, web, MINE);
		await watch.waitFor(new RegExp(MINE));
		// whatever was to be seen has been, once this is
		await peer.exec(['ping', '-c1', '-W5', web.ipv6]);
		await watch.waitFor(/echo reply/);
		await watch.kill('SIGINT');
		const { stdout } = await watch.ended;
		// that nobody listens is told by ICMP, at most once a second, which quotes it
		const datagrams = stdout.split(/^(?=\d\d:\d\d:)/m).filter((frame) => frame.includes(': UDP, '));
		// ipvlan-l3s hands over what comes inside the host's IP stack, past the slave's receive
		const seen = device === 'ipvlan-l3s' ? 1 : 2;
		expect(datagrams.filter((frame) => frame.includes(MINE))).toHaveLength(seen);
		expect(stdout).not.toContain(THEIRS);
	});

	test(`a filter and an XDP program of the owner's on ${device} have their way inside, and none outside`, {
		tags: [FULL],
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const here = await lab(arenaRequest(device, forward, true));
		const { web, api, peer, vm } = here;
		const pings = async (from: typeof web) =>
			(await from.exec(['ping', '-c1', '-W1', peer.ipv6], { reject: false })).code === 0;
		expect(await pings(web)).toBe(true);
		await web.tenant([
			'sh',
			'-c',
			'tc qdisc add dev eth0 clsact && tc filter add dev eth0 egress bpf da bytecode "1,6 0 0 2,"',
		]);
		expect([await pings(web), await pings(api)]).toEqual([false, true]);
		await web.tenant(['tc', 'qdisc', 'del', 'dev', 'eth0', 'clsact']);
		expect(await pings(web)).toBe(true);
		// BPF cannot be loaded from inside: what a privileged owner would attach is attached for them
		await vm.writeFile('/run/witness.o', await buildProgram('fixtures/witness.bpf.c'));
		await web.exec(['ip', 'link', 'set', 'dev', 'eth0', 'xdpgeneric', 'obj', '/run/witness.o', 'sec', 'xdp']);
		expect(await pings(web)).toBe(true);
		const arena = await Arena.open(here);
		await arena.repel(
			{
				title: 'a container cannot send from another’s address with an XDP program of its own',
				shots: ({ lab }, nonce) => [
					arena.frame({ source: lab.api.ipv6, destination: lab.peer.ipv6, transport: udp(PORT, PORT, nonce(0)) }),
				],
				verdict: 'SPOOFED_SOURCE',
				control: 'peer',
			},
			0,
		);
	});

	test(`a container on ${device} that floods is dropped to the last frame, and its neighbour loses none`, {
		tags: [FULL],
		timeout: 300_000,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const here = await lab(arenaRequest(device, forward, true));
		const { web, api, peer, drops } = here;
		const arena = await Arena.open(here);
		const { own, gateway } = arena.macs;
		const frames = [
			arena.frame({ source: api.ipv4, destination: peer.ipv4, transport: udp(PORT, PORT, 'x'.repeat(18)) }),
			// a device of layer 3 knows no ARP: it is dropped all the same
			{
				from: own,
				to: gateway,
				payload: arp({ operation: 'reply', senderMac: own, sender: api.ipv4, target: peer.ipv4 }),
			},
			arena.frame({
				source: api.ipv6,
				destination: 'ff02::1:ff00:2',
				hops: 255,
				transport: neighbourMessage('solicitation', { target: peer.ipv6, mac: own }),
			}),
		].map((frame) => buildFrame(frame));
		const sender = await openSender(web, { device: 'eth0' });
		const total = async () =>
			(await drops()).filter(({ at }) => at === gate(device)).reduce((sum, { count }) => sum + count, 0);
		const before = await total();
		const pinging = api.exec(['ping', '-i', '0.02', '-c', '100', '-W', '5', peer.ipv6], { timeout: 60_000 });
		await sender.send(frames, 2000);
		expect((await pinging).stdout).toContain('100 received, 0% packet loss');
		// what its own kernel says besides is no more than a few
		const dropped = (await total()) - before;
		expect(dropped).toBeGreaterThanOrEqual(6000);
		expect(dropped).toBeLessThan(6010);
	});
}
