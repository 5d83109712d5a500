import { buildProgram, describe, expect, test, type Vm } from 'pathproof';

/** What a test can leave behind in a kernel: how to leave it, and how to see it. Each has its own, so that the other's is told from it. */
interface Mark {
	what: string;
	needsModules?: true;
	leave(vm: Vm, mark: string): Promise<unknown>;
	isThere(vm: Vm, mark: string): Promise<boolean>;
}

const MARKS: Mark[] = [
	{
		what: 'a sysctl',
		leave: (vm, mark) => vm.writeFile('/proc/sys/kernel/domainname', mark),
		isThere: async (vm, mark) => `${await vm.readFile('/proc/sys/kernel/domainname')}`.trim() === mark,
	},
	{
		what: 'a link',
		leave: (vm, mark) => vm.exec(['ip', 'link', 'add', mark, 'type', vm.kernel.tier === 'full' ? 'dummy' : 'netkit']),
		isThere: async (vm, mark) => (await vm.exec(['ip', 'link', 'show', mark], { reject: false })).code === 0,
	},
	{
		what: 'a loaded module',
		needsModules: true,
		leave: (vm, mark) => vm.exec(['modprobe', MODULES[mark]!]),
		isThere: async (vm, mark) =>
			(await vm.exec(['lsmod'])).stdout.split('\n').some((line) => line.startsWith(`${MODULES[mark]} `)),
	},
	{
		what: 'a pinned program',
		leave: async (vm, mark) => {
			await vm.writeFile('/tmp/stranger.bpf.o', await buildProgram('fixtures/stranger.bpf.c'));
			await vm.exec(['bpftool', 'prog', 'load', '/tmp/stranger.bpf.o', `/sys/fs/bpf/${mark}`]);
		},
		isThere: async (vm, mark) =>
			(await vm.exec(['bpftool', 'prog', 'show', 'pinned', `/sys/fs/bpf/${mark}`], { reject: false })).code === 0,
	},
];

/** Modules that no guest has inserted when it wakes up. */
const MODULES: Record<string, string> = { red: 'ifb', blue: 'sch_netem' };

describe.each([
	['red', 'blue'],
	['blue', 'red'],
])('%s dirties its kernel before %s', (first, second) => {
	describe.each(MARKS)('with $what', ({ needsModules, leave, isThere }) => {
		test.for([first, second])(
			'%s finds a kernel nobody has touched, and dirties it',
			async (mark, { vm, requires }) => {
				if (needsModules) await requires('modules');
				expect([await isThere(vm, first), await isThere(vm, second)]).toEqual([false, false]);
				await leave(vm, mark);
				expect([await isThere(vm, first), await isThere(vm, second)]).toEqual([mark === first, mark === second]);
			},
		);

		test(`nothing of what ${first} left is there for a third`, async ({ vm, requires }) => {
			if (needsModules) await requires('modules');
			expect(await isThere(vm, first)).toBe(false);
		});
	});
});
