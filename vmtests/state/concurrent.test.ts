import { expect, test } from 'pathproof';
import { type IdentityScene, identityScene } from '../identity/scene.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { addWords, PEER, request, scene, UPLINK } from './scene.ts';

const AT_ONCE = 8;
const NUMBERS = Array.from({ length: AT_ONCE }, (_, index) => index + 20);

/** What each of them asks for, and whom the peer takes it for. */
const KINDS = [
	{
		what: 'containers with a netns each',
		request: { device: 'veth', forward: 'redirect', uplinks: [UPLINK] },
		within: (_: IdentityScene, name: string, argv: string[]) => ['ip', 'netns', 'exec', name, ...argv],
	},
	{
		what: 'identities',
		request: { device: 'none', forward: 'native', guard: false, identity: {} },
		within: ({ within }: IdentityScene, name: string, argv: string[]) => within(name, argv),
	},
] as const;
const ECHO_PORT = 7;

test.for(KINDS)(
	'eight processes at once add $what, as each was asked to, and take them away',
	{
		tags: [FULL],
		timeout: 600_000,
	},
	async ({ request: common, within }, { lab, requires }) => {
		await requires('veth');
		const on = await identityScene(lab);
		const { net, state, vm } = on;
		await vm.exec(['ip', 'route', 'get', PEER.ipv6]);
		const before = await state.hostState();
		const words = (number: number) =>
			addWords({
				...common,
				name: `c${number}`,
				ipv6: `2001:db8:0:2::${number}`,
				ipv4: `198.51.100.${number}`,
				uplinks: [...('uplinks' in common ? common.uplinks : [])],
			});
		/** Each one's exit status, and what it said. */
		const allAtOnce = async (calls: string[][]) => {
			const script = calls.map(
				(call, index) => `(pathproof ${call.join(' ')} >/tmp/said-${index} 2>&1; echo $? >>/tmp/said-${index}) &`,
			);
			const { stdout } = await vm.exec(
				['sh', '-c', `${script.join('\n')}\nwait; cat ${calls.map((_, index) => `/tmp/said-${index}`).join(' ')}`],
				{ timeout: 280_000 },
			);
			return stdout;
		};
		expect(await allAtOnce(NUMBERS.map(words))).toBe(NUMBERS.map((number) => `c${number} is there\n0\n`).join(''));
		expect((await net.checkHost()).map(({ what }) => what)).toEqual([]);
		await using _peer = await on.serve(null, '::', ECHO_PORT);
		for (const number of NUMBERS) {
			const asks = ['socat', '-u', `TCP6:[${PEER.ipv6}]:${ECHO_PORT}`, 'STDOUT'];
			const { stdout } = await vm.exec(within(on, `c${number}`, asks));
			expect(stdout).toBe(`2001:db8:0:2::${number} ${PEER.ipv6}`);
		}
		// the same one twice, while others go
		const mixed = [...NUMBERS.slice(1).map((number) => ['net', 'rm', `c${number}`]), words(20)];
		expect(await allAtOnce(mixed)).toBe(
			`${NUMBERS.slice(1)
				.map((number) => `c${number} is gone\n0\n`)
				.join('')}c20 is there already\n0\n`,
		);
		await net.removeContainer('c20');
		expect(await state.differences(before)).toEqual({});
	},
);

test('in one process calls wait for each other', turn(1), async ({ lab, requires }) => {
	await requires('veth');
	const { net } = await scene(lab);
	const cell = { device: 'veth', forward: 'redirect' } as const;
	await Promise.all([
		net.addContainer(request('web', cell)),
		net.addContainer(request('api', cell)),
		net.addContainer(request('web', cell)),
	]);
	expect((await net.listContainers()).map(({ state, spec }) => [spec.name, state])).toEqual([
		['api', 'ready'],
		['web', 'ready'],
	]);
	expect(await net.checkHost()).toEqual([]);
});

test('who waits for half a minute is told for whom', { tags: [FULL] }, async ({ lab }) => {
	const { vm, pathproof } = await scene(lab);
	await using holder = await vm.spawn(['flock', '--no-fork', '/sys/fs/bpf', 'sleep', '1000']);
	// of the process, not of the session that the agent gave it
	const { code, stderr } = await pathproof(['net', 'gc']);
	expect(code).toBe(1);
	expect(stderr).toContain(`another pathproof (pid ${holder.pid}) has been changing this host for 3`);
	expect(stderr).toContain(`try: ps -fp ${holder.pid}`);
});
