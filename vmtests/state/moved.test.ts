/** The device of an ipvlan container, which its owner may rename, and move to wherever nobody looks for it: it goes with its container, or its guard stays. */
import { expect, type Lab, type LabRequest, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { PEER, request, type Scene, scene } from './scene.ts';

/** Prints the process by which the netns within is told, once eth0 is there. */
const MOVE = [
	'unshare -n sleep 600 & pid=$!',
	'until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done',
	'ip link set dev eth0 netns $pid',
];

/** What the owner of web does, and what to give nsenter to come to where eth0 is then. */
const WAYS = {
	'is renamed': ['ip link set dev eth0 down name other', 'echo at /proc/$$/ns/net', 'exec sleep 600'],
	'is moved to a netns within that a process is in': [...MOVE, 'echo at /proc/$pid/ns/net', 'wait'],
	'is moved to a netns within that is held open': [
		...MOVE,
		'exec 9</proc/$pid/ns/net',
		'kill $pid',
		'echo at /proc/$$/fd/9',
		'exec sleep 600',
	],
} as const;

async function moved(lab: (request: LabRequest) => Promise<Lab>, way: keyof typeof WAYS) {
	const on = await scene(lab);
	const before = await on.state.hostState({ quick: true });
	await on.net.addContainer(request('web', { device: 'ipvlan-l2', forward: 'native' }));
	const owner = await on.vm.spawn(['sh', '-ec', WAYS[way].join('\n')], { netns: 'web' });
	const place = (await owner.waitFor(/^at /)).slice('at '.length);
	const inside = (command: string) =>
		on.vm.exec(['nsenter', `--net=${place}`, 'sh', '-ec', command], { reject: false });
	return { on, before, owner, inside, ipvlans: async () => (await inside('ip link show type ipvlan')).stdout };
}

for (const way of ['is renamed', 'is moved to a netns within that a process is in'] as const)
	test(`an ipvlan device that ${way} goes with its container`, { tags: [FULL] }, async ({ lab, requires }) => {
		await requires('ipvlan', 'tcx');
		const { on, before, owner, ipvlans } = await moved(lab, way);
		expect(await ipvlans()).toMatch(/: (other|eth0)@/);
		await on.net.removeContainer('web');
		expect(await ipvlans()).toBe('');
		await owner.kill('SIGKILL');
		expect(await on.state.differences(before)).toEqual({});
	});

test("a device of somebody else's that has an ipvlan container's name stays", { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('ipvlan', 'tcx');
	const { net, vm } = await scene(lab);
	await net.addContainer(request('web', { device: 'ipvlan-l2', forward: 'native' }));
	await vm.exec(['ip', 'link', 'add', 'web', 'type', 'dummy']);
	await net.removeContainer('web');
	expect((await vm.exec(['ip', '-o', 'link', 'show', 'type', 'dummy'])).stdout).toMatch(/: web: /);
});

test('an ipvlan device that is not found stays guarded, and its container stays until it is gone', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('ipvlan', 'tcx');
	const { on, before, owner, inside, ipvlans } = await moved(lab, 'is moved to a netns within that is held open');
	await expect(on.net.removeContainer('web')).rejects.toThrow(
		'the ipvlan device of web is in a netns that is not found',
	);
	expect(await ipvlans()).toMatch(/: eth0@/);
	expect((await on.net.listContainers()).map(({ spec }) => spec.name)).toEqual(['web']);
	expect(await heardFrom(on, inside, '198.51.100.10')).toBe(true);
	expect(await heardFrom(on, inside, '198.51.100.77')).toBe(false);
	await owner.kill('SIGKILL');
	await on.net.removeContainer('web');
	expect(await on.state.differences(before)).toEqual({});
});

async function heardFrom(
	{ vm }: Scene,
	inside: (command: string) => Promise<unknown>,
	source: string,
): Promise<boolean> {
	await using ear = await vm.spawn(['tcpdump', '-Z', 'root', '--immediate-mode', '-lni', 'eth0', 'src', source], {
		netns: 'peer',
	});
	await ear.waitFor(/listening on/);
	await inside(
		`ip link set dev eth0 up; ip addr replace ${source}/32 dev eth0; ip route replace ${PEER.ipv4}/32 dev eth0; ping -c2 -W1 -I ${source} ${PEER.ipv4}`,
	);
	await ear.kill('SIGINT');
	return (await ear.ended).stdout.includes(source);
}
