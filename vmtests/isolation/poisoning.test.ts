/** What neighbours believe after a container has lied to all of them. */
import { expect, type Lab, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { Arena, arenaRequest, DEVICES } from './arena.ts';
import { NEIGHBOURS } from './neighbours.ts';

/** Whose MAC they think is where: `peer 192.0.2.1 eth0 02:…`, all of them open to news. */
async function beliefs({ host, peer, api }: Lab): Promise<string[]> {
	const tables = await Promise.all(
		[host, peer, api].map(async (node) => {
			const entries = JSON.parse((await node.exec(['ip', '-j', 'neigh'])).stdout) as Record<
				'dst' | 'dev' | 'lladdr',
				string
			>[];
			return entries.map(({ dst, dev, lladdr }) => `${node.name} ${dst} ${dev} ${lladdr}`);
		}),
	);
	return tables.flat().sort();
}

async function doubt({ host, peer }: Lab): Promise<void> {
	for (const node of [host, peer])
		await node.exec([
			'sh',
			'-c',
			'ip -j neigh show dev eth0 | tr \'}\' \'\\n\' | sed -n \'s/.*"dst":"\\([^"]*\\)".*"lladdr":"\\([^"]*\\)".*/\\1 \\2/p\' | while read dst mac; do ip neigh replace $dst lladdr $mac dev eth0 nud stale; done',
		]);
}

for (const { device, forward, needs } of DEVICES) {
	const tags = [FULL];
	if (device.endsWith('l3') || device.endsWith('l3s')) continue;

	test(`what a container on ${device} says of others is believed by nobody, and without the guard by some`, {
		tags,
		timeout: 300_000,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		for (const guard of [true, false]) {
			const here = await lab(arenaRequest(device, guard || forward === 'native' ? forward : 'stack', guard));
			const arena = await Arena.open(here);
			await doubt(here);
			const before = await beliefs(here);
			expect(before.length).toBeGreaterThan(3);
			for (const [index, attack] of NEIGHBOURS.entries())
				await arena.commit(attack, index, guard ? { drops: 1 } : { heard: arena.controlOf(attack) });
			const after = await beliefs(here);
			if (guard) expect(after).toEqual(before);
			else expect(after.filter((one) => one.includes('02:00:00:00:66:66'))).not.toEqual([]);
		}
	});
}
