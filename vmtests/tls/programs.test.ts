/**
 * Programs that nobody here wrote, and what they talk to: neither can tell whether their flows go over TLS, nor can the wire tell what
 * they say. What each says where nothing is turned comes first, on the same wire. That either end of the TLS can be a stranger's is in
 * vmtests/support/tls-interop.test.ts, and 100 MB each way in vmtests/support/tls-bulk.test.ts.
 */
import { expect, test } from 'pathproof';
import { ADDRESSES } from '../identity/scene.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { NONCE } from './nonce.ts';
import { PLACES } from './places.ts';
import { type At, ROWS, type Row } from './programs.ts';
import { BEHIND, TERMINATOR, type TlsScene, tlsScene } from './scene.ts';
import { FILES, MAKE, SERVERS } from './servers.ts';
import { captured, talksWith } from './wire.ts';

const FAMILIES = [6, 4] as const;
const OWN = { 6: ADDRESSES.web.ipv6, 4: ADDRESSES.web.ipv4 } as const;
const PREFIXES = ['2001:db8:f::/48', '203.0.113.0/24'];
/** What is shown in every run, on one kernel. */
const FEW = ROWS.filter(({ what }) => what.startsWith('curl, HTTP/') || what.startsWith('dig'));

const at = (family: 4 | 6, turned: boolean): At => ({
	family,
	own: OWN[family],
	from: (to) => (turned ? to : OWN[family]),
	to: (n) => BEHIND[family][n - 1]!,
	inUrl: (address) => (family === 6 ? `[${address}]` : address),
});

async function untilListens({ on: { vm } }: TlsScene, filter: string, netns?: string): Promise<void> {
	const look = `for i in $(seq 300); do [ -n "$(ss -Hn ${filter})" ] && exit; sleep 0.1; done; echo nobody listens; exit 1`;
	await vm.exec(['sh', '-c', look], { netns, timeout: 120_000 });
}

async function startServers(scene: TlsScene): Promise<void> {
	const { vm } = scene.on;
	for (const [path, text] of Object.entries(FILES)) await vm.writeFile(path, text);
	await vm.exec(['sh', '-ec', MAKE], { timeout: 120_000 });
	for (const { argv } of SERVERS) await vm.spawn(argv, { netns: 'peer' });
	for (const { listens } of SERVERS) await untilListens(scene, listens, 'peer');
}

/** Its client once for each family: what that and its server say has to be what the row says. */
async function expectRow(scene: TlsScene, row: Row, turned: boolean): Promise<void> {
	for (const family of FAMILIES) {
		const here = at(family, turned);
		const beside = row.beside?.(here);
		await using _beside = beside ? await scene.start(beside.argv) : null;
		if (beside) await untilListens(scene, beside.listens, scene.netns);
		const which = { what: row.what, turned, family };
		const { stdout, stderr } = await scene.run(['sh', '-c', row.client(here)], 600_000);
		expect.soft({ ...which, stdout, stderr }).toEqual({ ...which, stdout: row.says(here), stderr: '' });
		if (!row.seen) continue;
		const seen = await scene.on.vm.exec(['sh', '-c', row.seen.command(here)], { timeout: 120_000 });
		expect.soft({ ...which, seen: seen.stdout }).toEqual({ ...which, seen: row.seen.says(here) });
	}
}

for (const { what, device, proxy, needs, rows, options } of [
	{ ...PLACES[0]!, rows: FEW, options: turn(1, 'modules') },
	...PLACES.map((place) => ({ ...place, rows: ROWS, options: { tags: [FULL] } })),
])
	test(`of ${what}, ${rows.length} programs say what they say without proxies, and the wire carries TLS to the terminating proxy and nothing else`, {
		...options,
		timeout: 1_800_000,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const scene = await tlsScene(lab, device);
		await startServers(scene);
		for (const row of rows) {
			const wire = await captured(scene, () => expectRow(scene, row, false));
			expect.soft([row.what, wire.includes(NONCE)]).toEqual([row.what, row.clear]);
		}
		for (const protocol of ['tcp', 'udp'])
			for (const prefix of PREFIXES) await scene.turn(prefix, null, '--protocol', protocol);
		for (const row of rows) {
			const wire = await captured(scene, () => expectRow(scene, row, true));
			const talks = await talksWith(scene);
			expect
				.soft([row.what, wire.includes(NONCE), talks])
				.toEqual([row.what, false, [`${proxy} > ${TERMINATOR.host}.${TERMINATOR.port}`]]);
		}
	});
