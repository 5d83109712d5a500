import { buildProgram, describe, expect, type Lab, type Node, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { containerOf, FAMILIES, OTHERS, type Row, run, SAMPLE } from './rows.ts';

type Mode = 'xdpdrv' | 'xdpgeneric';

/** Puts the program of fixtures/xdp-count.bpf.c on a device, in place of what is there. */
async function load({ vm }: Lab, node: Node, mode: Mode, verdict: 'pass' | 'drop'): Promise<void> {
	await vm.writeFile('/tmp/xdp-count.bpf.o', await buildProgram('fixtures/xdp-count.bpf.c'));
	await run(
		node,
		`ip link set dev eth0 ${mode} off`,
		`ip link set dev eth0 ${mode} obj /tmp/xdp-count.bpf.o sec xdp/${verdict}`,
	);
}

/** Frames that the program has seen since it was loaded. */
async function frames({ host }: Lab): Promise<number> {
	// of a program that was replaced the map may be there a little longer
	const maps = JSON.parse(await run(host, 'bpftool -j map show name frames')) as { id: number }[] | { id: number };
	const id = Math.max(...[maps].flat().map((map) => map.id));
	const [row] = JSON.parse(await run(host, `bpftool -j map dump id ${id}`)) as { formatted: { value: number } }[];
	return row!.formatted.value;
}

function guarded(row: Row): void {
	test("the host's native XDP on the uplink comes before the datapath, and both do their work", async ({
		lab,
		requires,
	}) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const container = containerOf(made, row);
		await load(made, made.host, 'xdpdrv', 'pass');
		for (const family of FAMILIES) {
			const trace = await made.peer.udp(container, 53, { family });
			expect(trace).toTraverse(`${row.who} udp deliver`);
			if (row.forward !== 'stack') expect(trace).toTraverse('host:eth0 ingress[ingress_peer → redirect]');
			expect(await container.udp(made.peer, 53, { family })).toTraverse('host:eth0 xmit');
		}
		expect(await frames(made)).toBeGreaterThanOrEqual(2);
		await load(made, made.host, 'xdpdrv', 'drop');
		for (const family of FAMILIES) {
			const trace = await made.peer.udp(container, 53, { family, listen: false });
			expect(trace).not.toTraverse('host:eth0 ingress[ingress_peer]');
			expect(trace).not.toTraverse(`${row.who}:eth0 receive`);
			// what the container sends does not come by there
			await container.udp(made.peer, 53, { family });
		}
		expect(await frames(made)).toBeGreaterThanOrEqual(2);
	});

	// Native XDP of a veth is in its NAPI, and redirect_peer puts a packet behind that.
	const native = row.device !== 'veth' ? 'is none' : row.forward === 'stack' ? 'sees it' : 'does not see it';
	test(`a container's generic XDP sees what comes for it, its native XDP ${native}`, async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const container = containerOf(made, row);
		const deliver = (listen: boolean) => made.peer.udp(container, 53, { listen });
		await load(made, container, 'xdpgeneric', 'pass');
		await deliver(true);
		expect(await frames(made)).toBeGreaterThanOrEqual(1);
		await load(made, container, 'xdpgeneric', 'drop');
		expect((await deliver(false)).in).not.toMatchObject([{ delivered: true }]);
		expect(await frames(made)).toBeGreaterThanOrEqual(1);
		await run(container, 'ip link set dev eth0 xdpgeneric off');
		if (native === 'is none') {
			await expect(load(made, container, 'xdpdrv', 'drop')).rejects.toThrow(/not supported/i);
			return;
		}
		await load(made, container, 'xdpdrv', 'drop');
		if (native === 'does not see it') await deliver(true);
		else expect(await deliver(false)).toTraverse(`${row.who}:eth0 ingress[xdp count_drop → drop]`);
	});
}

describe.for(SAMPLE.slice(0, 1))('XDP: $title', { tags: [FULL] }, guarded);
describe.for([...SAMPLE.slice(1), ...OTHERS])('XDP: $title', { tags: [FULL] }, guarded);
