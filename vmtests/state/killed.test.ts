import { describe, expect, type Lab, type LabRequest, test } from 'pathproof';
import type { ContainerRequest } from '../../impl/container.ts';
import { identity, identityScene } from '../identity/scene.ts';
import { Steady } from '../identity/steady.ts';
import { buildProgram } from '../support/build.ts';
import { FULL } from '../support/config.ts';
import { newerPrograms } from './newer.ts';
import { addWords, type Cell, request, type Scene, scene } from './scene.ts';
import { Traffic } from './traffic.ts';

const KILLER = '/run/pathproof/kill.bpf.o';

/** What Node itself would write when it ends is none of the datapath's. */
const COUNTED = { NODE_DISABLE_COMPILE_CACHE: '1' };

/** What is killed. `beside`: another container is there, and talks with the peer all the while. */
interface Series {
	what: string;
	beside: boolean;
	words(cut: Cut): string[];
	/** the container is there when it begins */
	there?: true;
}

/** A host, what its containers are, and how one of them talks. */
interface Cut {
	on: Scene;
	ask(name: 'web' | 'api'): ContainerRequest;
	/** by `api`; `stop` answers what went wrong meanwhile */
	talk(): Promise<AsyncDisposable & { stop(): Promise<string[]> }>;
}

type LabOf = (request: LabRequest) => Promise<Lab>;

async function withNetns(lab: LabOf, cell: Pick<Cell, 'device' | 'forward'>): Promise<Cut> {
	const on = await scene(lab);
	return { on, ask: (name) => request(name, cell), talk: () => Traffic.start(on.vm, 'api') };
}

async function withIdentity(lab: LabOf): Promise<Cut> {
	const on = await identityScene(lab);
	return { on, ask: identity, talk: () => Steady.start(on, 'api') };
}

const ADD = ({ ask }: Cut) => addWords(ask('web'));
const REMOVE = () => ['net', 'rm', 'web'];
const SERIES: Series[] = [
	{ what: 'add', beside: true, words: ADD },
	{ what: 'rm', beside: true, words: REMOVE, there: true },
	{ what: 'the first add', beside: false, words: ADD },
	{ what: 'the last rm', beside: false, words: REMOVE, there: true },
];

/** What is typed next. Whichever it is, the container is whole after it, or gone without a trace. */
const NEXT: Record<string, (cut: Cut) => Promise<void>> = {
	add: async ({ on, ask }) => void (await on.net.addContainer(ask('web'))),
	rm: async ({ on }) => void (await on.net.removeContainer('web').catch(isAbsent)),
	gc: async ({ on }) => void (await on.net.collectGarbage()),
};

function isAbsent(error: Error): void {
	if (!error.message.startsWith('there is no container web')) throw error;
}

/** Every `step`-th point, from the first on, of every series. Answers how many there were. */
async function killAll(cut: Cut, step: number): Promise<number> {
	const { on, ask } = cut;
	const kill = await loadKiller(on);
	let points = 0;
	for (const series of SERIES) {
		await using traffic = series.beside ? await besideOther(cut) : null;
		const before = await on.state.hostState({ quick: true });
		if (series.there) await on.net.addContainer(ask('web'));
		// First to its own end, to know how many calls there are.
		const { calls, code, stderr } = await kill.runEndedAt(['pathproof', ...series.words(cut)], 0, COUNTED);
		expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
		expect(calls.length).toBeGreaterThan(5);
		await on.net.removeContainer('web').catch(isAbsent);
		for (let point = 1; point <= calls.length; point += step, points++) {
			const where = `${series.what}, ended at its call ${point} of ${calls.length}, ${calls[point - 1]}`;
			if (series.there) await on.net.addContainer(ask('web'));
			const ended = await kill.runEndedAt(['pathproof', ...series.words(cut)], point);
			expect({ where, code: ended.code }).toEqual({ where, code: null });
			const next = Object.keys(NEXT)[points % 3]!;
			await NEXT[next]!(cut);
			expect({ where, next, findings: await on.net.checkHost() }).toEqual({ where, next, findings: [] });
			await on.net.removeContainer('web').catch(isAbsent);
			expect({ where, next, left: await on.state.differences(before) }).toEqual({ where, next, left: {} });
		}
		expect({ series: series.what, lost: (await traffic?.stop()) ?? [] }).toEqual({ series: series.what, lost: [] });
		if (series.beside) await on.net.removeContainer('api');
	}
	return points;
}

async function besideOther({ on, ask, talk }: Cut): ReturnType<Cut['talk']> {
	await on.net.addContainer(ask('api'));
	return talk();
}

async function loadKiller({ vm, lab }: Scene) {
	await vm.writeFile(KILLER, await buildProgram('fixtures/kill.bpf.c'));
	const kill = lab.vm.use<typeof import('../support/guest/kill.ts')>('vmtests/support/guest/kill.ts');
	await kill.loadKiller(KILLER);
	// Node has compiled it then: what is killed is killed sooner
	await vm.exec(['pathproof', 'net', 'ls'], { timeout: 120_000 });
	return kill;
}

/** Each point goes on from what the last one ended in: the old programs in place of the new ones, and back. */
async function killUpgrades(cut: Cut, step: number): Promise<number> {
	const { on, ask } = cut;
	const kill = await loadKiller(on);
	const newer = await newerPrograms(on.vm);
	await using traffic = await besideOther(cut);
	await on.net.addContainer(ask('web'));
	const words = ['pathproof', 'net', 'upgrade'];
	const { calls, code } = await kill.runEndedAt(words, 0, { ...newer, ...COUNTED });
	expect(code).toBe(0);
	let points = 0;
	for (let point = 1; point <= calls.length; point += step, points++) {
		const where = `upgrade, ended at its call ${point} of ${calls.length}, ${calls[point - 1]}`;
		const env: Record<string, string> = points % 2 ? newer : {};
		expect({ where, code: (await kill.runEndedAt(words, point, env)).code }).toEqual({ where, code: null });
		const next = await on.pathproof(words.slice(1), { env });
		expect({ where, code: next.code, stderr: next.stderr }).toEqual({ where, code: 0, stderr: '' });
		expect({ where, findings: await on.net.checkHost() }).toEqual({ where, findings: [] });
	}
	expect(await traffic.stop()).toEqual([]);
	return points;
}

/** An hour, on a busy machine. */
const LONG = 3_600_000;

/** What strace shows of the same calls: `1234  bpf(BPF_MAP_CREATE, …`. */
const CHANGES =
	/^\d+ +(?:(bpf)\(BPF_(?:MAP_CREATE|MAP_UPDATE_ELEM|MAP_DELETE_ELEM|PROG_LOAD|OBJ_PIN|PROG_ATTACH|PROG_DETACH|BTF_LOAD|MAP_FREEZE|LINK_CREATE|LINK_UPDATE|LINK_DETACH),|(sendmsg|sendto|mount|umount2|mkdir|mkdirat|rmdir|rename|renameat|renameat2|unlink|unlinkat|setns|unshare)\(|(openat)\(.*(?:O_RDONLY\|O_CREAT\|O_EXCL|O_WRONLY\|O_CREAT\|O_TRUNC\|O_CLOEXEC),)/gm;

/** How many there were of each. */
function tally(calls: string[]): Record<string, number> {
	return Object.fromEntries(
		[...new Set(calls)].sort().map((call) => [call, calls.filter((one) => one === call).length]),
	);
}

test('strace counts as many system calls that change the kernel', { tags: [FULL] }, async ({
	lab,
	requires,
	annotate,
}) => {
	await requires('veth');
	const on = await scene(lab);
	const words = ['pathproof', ...addWords(request('web', { device: 'veth', forward: 'redirect' }))];
	const { calls } = await (await loadKiller(on)).runEndedAt(words, 0, COUNTED);
	await on.net.removeContainer('web');
	await on.vm.exec(
		[
			'strace',
			'-f',
			'--seccomp-bpf',
			'-qq',
			'-e',
			'trace=bpf,sendmsg,sendto,mount,umount2,mkdir,mkdirat,rmdir,rename,renameat,renameat2,unlink,unlinkat,setns,unshare,openat',
			'-o',
			'/tmp/strace',
			...words,
		],
		{ env: COUNTED, timeout: 170_000 },
	);
	const seen = [...`${await on.vm.readFile('/tmp/strace')}`.matchAll(CHANGES)].map(
		(match) => match.slice(1).find(Boolean)!,
	);
	expect(tally(seen)).toEqual(tally(calls.map((call) => call.replace(/^.*: (\w+).*$/, '$1'))));
	await annotate(`${seen.length} system calls of one add change the kernel's state`);
	expect(seen.length).toBeGreaterThanOrEqual(30);
});

describe('killed in the middle, whatever is typed next makes it whole or undoes it', () => {
	test('a container on netkit, at some of all points', { tags: [FULL], timeout: LONG }, async ({
		lab,
		requires,
		annotate,
	}) => {
		await requires('netkit', 'redirect-peer-egress');
		const points = await killAll(await withNetns(lab, { device: 'netkit-l3', forward: 'redirect-egress' }), 29);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(6);
	});

	test('a container on ipvlan, at some of all points', { tags: [FULL], timeout: LONG }, async ({
		lab,
		requires,
		annotate,
	}) => {
		await requires('ipvlan', 'tcx');
		const points = await killAll(await withNetns(lab, { device: 'ipvlan-l2', forward: 'native' }), 29);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(6);
	});

	test('an upgrade, at some of all points', { tags: [FULL], timeout: LONG }, async ({ lab, requires, annotate }) => {
		await requires('netkit', 'redirect-peer-egress');
		const points = await killUpgrades(await withNetns(lab, { device: 'netkit-l3', forward: 'redirect-egress' }), 17);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(1);
	});

	test('an identity, at some of all points', { tags: [FULL], timeout: LONG }, async ({ lab, requires, annotate }) => {
		await requires('modules');
		const points = await killAll(await withIdentity(lab), 29);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(6);
	});

	test('an upgrade of identities, at some of all points', { tags: [FULL], timeout: LONG }, async ({
		lab,
		requires,
		annotate,
	}) => {
		await requires('modules');
		const points = await killUpgrades(await withIdentity(lab), 17);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(3);
	});

	test('a container on a veth, at every point', { tags: [FULL], timeout: LONG }, async ({
		lab,
		requires,
		annotate,
	}) => {
		await requires('veth');
		const points = await killAll(await withNetns(lab, { device: 'veth', forward: 'redirect' }), 1);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(30);
	});

	test('a container whose uplinks are chosen by routes, at every point', { tags: [FULL], timeout: LONG }, async ({
		lab,
		requires,
		annotate,
	}) => {
		await requires('veth');
		const points = await killAll(await withNetns(lab, { device: 'veth', forward: 'stack' }), 1);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(30);
	});

	test('an upgrade, at every point', { tags: [FULL], timeout: LONG }, async ({ lab, requires, annotate }) => {
		await requires('veth');
		const points = await killUpgrades(await withNetns(lab, { device: 'veth', forward: 'redirect' }), 1);
		await annotate(`killed at ${points} points`);
		expect(points).toBeGreaterThan(10);
	});
});
