/**
 * Programs that nobody here wrote, as clients and as servers: matrix.ts says which address each is to see in which call, strace which it
 * saw; whom the peer saw is on its wire.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { type SocketCalls, socketCalls } from '../support/strace.ts';
import { cells, type Family, MATRIX, nginxConfiguration, PEERS, type Place, type Row } from './matrix.ts';
import { ADDRESSES, cgroup, type IdentityScene, identity, identityScene } from './scene.ts';

const { ipv6, ipv4 } = ADDRESSES.web;
/** A Rust program on musl, linked statically: it brings its own system calls. */
const MPROCS = (() => {
	const require = createRequire(import.meta.url);
	const found = require.resolve('mprocs/package.json');
	const { version } = JSON.parse(readFileSync(found, 'utf8'));
	const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as 'x64' | 'arm64'];
	return join(dirname(found), `mprocs-${version}-linux-${machine}-musl/mprocs`);
})();
const TRACE = '/run/trace';
const STRACE = ['strace', '-f', '-qq', '-x', '-s', '256', '--seccomp-bpf', '-e', 'trace=%network', '-o', TRACE];

/** What is in the container, and all of it: strace keeps its programs alive. */
const END_ALL = `
all=${cgroup('web')}/cgroup.procs
kill -KILL $(cat $all)
for i in $(seq 100); do [ -z "$(cat $all)" ] && exit; sleep 0.1; done
exit 1`;

const PLACES: Record<Family, Place> = {
	6: { family: 6, own: ipv6, peer: PEER.ipv6, any: '::', inUrl: (address) => `[${address}]` },
	4: { family: 4, own: ipv4, peer: PEER.ipv4, any: '0.0.0.0', inUrl: (address) => address },
};

/** Addresses by the words of the matrix. */
function inWords({ own, peer }: Place, said: string): string {
	const words: [string, string][] = [
		[own, 'own'],
		[peer, 'peer'],
		['::1', 'loopback'],
		['127.0.0.1', 'loopback'],
		['::', 'any'],
		['0.0.0.0', 'any'],
	];
	const word = (address: string) => words.find(([one]) => one === address)?.[1];
	return said
		.split(' ')
		.map((one) => word(one) ?? one.replace(/^::ffff:(.*)$/, (_, mapped) => `mapped ${word(mapped) ?? mapped}`))
		.join(' ');
}

function callsInWords(at: Place, calls: SocketCalls): SocketCalls {
	return Object.fromEntries(
		Object.entries(calls).map(([call, seen]) => [call, [...new Set(seen.map((one) => inWords(at, one)))].sort()]),
	);
}

async function untilListens({ vm }: IdentityScene, filter: string, netns?: string): Promise<void> {
	const look = `for i in $(seq 200); do [ -n "$(ss -Hn ${filter})" ] && exit; sleep 0.1; done; echo nobody listens; exit 1`;
	await vm.exec(['sh', '-c', look], { netns, timeout: 60_000 });
}

/** Runs it for a family, and expects of its calls and words what the row says. */
async function expectRow(scene: IdentityScene, row: Row, at: Place): Promise<void> {
	const { vm, start, run } = scene;
	await vm.writeFile('/etc/resolv.conf', `nameserver ${at.peer}\noptions timeout:1 attempts:1\n`);
	await vm.writeFile('/run/nginx.conf', nginxConfiguration(at));
	const argv = [...STRACE, ...row.argv(at)];
	let said: string;
	if (row.serves) {
		await start('web', argv);
		await untilListens(
			scene,
			`${(row.serves.listens ?? row.protocol) === 'tcp' ? '-lt' : '-lu'} 'sport = :${row.serves.port}'`,
		);
		said = (await vm.exec(row.serves.asked(at), { netns: 'peer', reject: false, timeout: 60_000 })).stdout;
	} else said = (await run('web', argv, { reject: false, timeout: 60_000 })).stdout;
	const title = `${row.program}, ${row.way}, IPv${at.family}`;
	await expect
		.poll(async () => [title, callsInWords(at, socketCalls(`${await vm.readFile(TRACE)}`, row.protocol))], {
			timeout: row.serves ? 20_000 : 1_000,
			interval: 500,
		})
		.toEqual([title, cells(row)]);
	// whom the peer's servers name they hear on sockets for both families
	if (row.says) expect([title, inWords(at, said.trim()).replaceAll('mapped ', '')]).toEqual([title, row.says]);
	if (row.serves) await vm.exec(['sh', '-c', END_ALL]);
}

for (const row of MATRIX)
	test(`${row.program}, ${row.way}: it sees in each of its calls what the matrix says, and the peer sees the container`, {
		tags: [FULL],
	}, async ({ lab, requires }) => {
		await requires('modules');
		const scene = await identityScene(lab);
		const { net, vm, serve, sourcesOnWire } = scene;
		await net.addContainer(identity('web'));
		if (row.program.startsWith('mprocs')) await vm.writeFile('/run/mprocs', readFileSync(MPROCS), 0o755);
		if (row.peer === 'echo') await serve(null, '::', 7, 53);
		else if (row.peer) {
			await vm.spawn(PEERS[row.peer].argv, { netns: 'peer' });
			await untilListens(scene, PEERS[row.peer].listens, 'peer');
		}
		const sources = await sourcesOnWire(async () => {
			for (const at of [PLACES[6], PLACES[4]]) await expectRow(scene, row, at);
		});
		expect(sources).toEqual([ipv4, ipv6]);
		const { identity: counted } = await net.showContainer('web');
		expect(counted!.counts).toMatchObject({ NO_SUCH_FAMILY: 0, ADDRESS_GONE: 0, NOT_READY: 0 });
	});

test('a socket for both families is at the IPv6 address of its container alone, as Go makes one of 0.0.0.0', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, start, vm } = scene;
	await net.addContainer(identity('web'));
	await start('web', ['go-mmproxy', '-l', '0.0.0.0:8443']);
	await untilListens(scene, "-lt 'sport = :8443'");
	expect((await vm.exec(['ss', '-Hlnt', 'sport = :8443'])).stdout).toContain(` [${ipv6}]:8443 `);
	const reach = (address: string) =>
		vm.exec(['ncat', '-w', '5', '--send-only', address, '8443'], { netns: 'peer', reject: false });
	expect((await reach(ipv6)).stderr).toBe('');
	expect((await reach(ipv4)).stderr).toContain('Connection refused');
});
