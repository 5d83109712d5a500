import { buildProgram, describe, expect, test, type Vm } from 'pathproof';
import { turn } from '../support/turns.ts';

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

/** Which marks are there, of those that this kernel can bear. */
async function found(vm: Vm, mark: string): Promise<string[]> {
	const there: string[] = [];
	for (const { what, isThere } of marksOf(vm)) if (await isThere(vm, mark)) there.push(what);
	return there;
}

function marksOf(vm: Vm): Mark[] {
	return MARKS.filter(({ needsModules }) => !needsModules || vm.kernel.tier === 'full');
}

function apart([first, second]: readonly [string, string]): void {
	test.for([first, second])(
		'%s finds a kernel nobody has touched, and leaves a sysctl, a link, a module, a program',
		async (mark, { vm }) => {
			expect(await found(vm, first)).toEqual([]);
			expect(await found(vm, second)).toEqual([]);
			for (const { leave } of marksOf(vm)) await leave(vm, mark);
			expect(await found(vm, mark)).toEqual(marksOf(vm).map(({ what }) => what));
		},
	);

	test(`nothing of what ${first} left is there for a third`, async ({ vm }) => {
		expect(await found(vm, first)).toEqual([]);
	});
}

const TITLE = '%s dirties its kernel before %s';
describe.for([['red', 'blue'] as const])(TITLE, turn(0), apart);
describe.for([['blue', 'red'] as const])(TITLE, turn(1), apart);
