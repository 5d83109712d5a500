import { describe, expect, test } from 'vitest';
import { isAtLeast, judge, plan, preferences, remedy } from './judge.ts';
import { type Finding, findSystem, readVersion } from './probe.ts';
import { SYSTEMS, type System, TOOLS, type Tool, type ToolName } from './systems.ts';

const tool = (name: ToolName): Tool => TOOLS.find((tool) => tool.name === name)!;
const system = (codename: string): System => SYSTEMS.find((system) => system.codename === codename)!;
const found = (path: string, version: string | null): Finding => ({ path, version, usable: true });

describe('versions are read from what the tools say', () => {
	test.each<[ToolName, string, string | null]>([
		['QEMU', 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022', '7.2.22'],
		['QEMU', 'QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)', '10.0.2'],
		['QEMU', 'qemu-system-x86_64: error while loading shared libraries: libcapstone.so.4', null],
		['virtme-ng', 'virtme-ng 1.35', '1.35'],
		['clang', 'Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64-pc-linux-gnu', '19.1.7'],
		['clang', 'Ubuntu clang version 18.1.3 (1ubuntu1)', '18.1.3'],
		['bpftool', 'bpftool v7.5.0\nusing libbpf v1.5\nfeatures: llvm, skeletons', '7.5'],
		['libbpf headers', '#define LIBBPF_MAJOR_VERSION 1\n#define LIBBPF_MINOR_VERSION 4\n', '1.4'],
	])('%s: %j is %s', (name, text, version) => {
		expect(readVersion(tool(name), text)).toBe(version);
	});
});

test.each([
	['10.0.2', '10.0', true],
	['10', '10.0', true],
	['9.2.1', '10.0', false],
	['7.2.22', '10.0', false],
	['19.1.7', '19', true],
	['18.1.3', '19', false],
	['1.41', '1.35', true],
	['1.4', '1.35', false],
])('%s is at least %s: %s', (version, least, answer) => {
	expect(isAtLeast(version, least)).toBe(answer);
});

describe('a tool', () => {
	test('that is not there is lacking', () => {
		expect(judge(tool('xz'), [])).toEqual({ tool: tool('xz'), found: null, problem: 'not found' });
	});

	test('that is too old is lacking, and the verdict says why old ones are no good', () => {
		expect(judge(tool('QEMU'), [found('/usr/bin/qemu-system-x86_64', '7.2.22')]).problem).toBe(
			'/usr/bin/qemu-system-x86_64 is 7.2.22, and 10.0 is needed: under TCG, QEMU 7.2 corrupts guest memory with -smp 2: half the boots panic; 10.0 booted every time',
		);
	});

	test('that does not say its version is lacking', () => {
		expect(judge(tool('QEMU'), [found('/opt/qemu-system-x86_64', null)]).problem).toBe(
			'/opt/qemu-system-x86_64 does not say its version, and 10.0 is needed',
		);
	});

	test('that needs shared libraries is lacking where it must not', () => {
		expect(judge(tool('static busybox'), [{ path: '/bin/busybox', version: null, usable: false }]).problem).toBe(
			'/bin/busybox is not static',
		);
	});

	test('may have several names: the first that is new enough is taken', () => {
		const newest = found('/usr/bin/clang-21', '21.1.8');
		expect(judge(tool('clang'), [found('/usr/bin/clang', '14.0.6'), newest])).toEqual({
			tool: tool('clang'),
			found: newest,
		});
	});
});

describe('a system', () => {
	test('is known by its os-release', () => {
		expect(findSystem('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n')).toBe(
			system('bookworm'),
		);
		expect(
			findSystem('PRETTY_NAME="Linux Mint 22"\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\n'),
		).toBe('Linux Mint 22');
	});

	test('that is known gets the packages of what it lacks, each once', () => {
		expect(plan(system('bookworm'), [tool('QEMU'), tool('virtme-ng'), tool('clang')], 'root')).toEqual({
			kind: 'install',
			system: system('bookworm'),
			packages: [
				{ name: 'qemu-system-x86', suite: 'bookworm-backports', tools: ['QEMU'] },
				{ name: 'virtme-ng', suite: 'trixie', tools: ['virtme-ng'] },
				{ name: 'clang-19', tools: ['clang'] },
			],
			sudo: false,
		});
		expect(plan(system('forky'), [tool('clang')], 'sudo')).toMatchObject({
			packages: [{ name: 'clang', tools: ['clang'] }],
			sudo: true,
		});
	});

	test('without root and sudo, unknown, or refused gets nothing, and is told why', () => {
		expect(plan(system('trixie'), [tool('QEMU')], 'none')).toEqual({
			kind: 'refuse',
			because: 'installing needs root, and no sudo answers here',
			hint: 'as root, in this folder: npx pathproof doctor --fix',
		});
		expect(plan('Fedora Linux 44', [tool('QEMU')], 'root')).toEqual({
			kind: 'refuse',
			because: 'Fedora Linux 44 is not a system that pathproof knows',
			hint: 'install the list above, then: npx pathproof doctor',
		});
		expect(plan(system('noble'), [tool('QEMU')], 'root')).toMatchObject({
			kind: 'refuse',
			because: expect.stringMatching(
				/^Ubuntu 24\.04 \(noble\): its QEMU is 8\.2, which has not been measured to be sound/,
			),
		});
	});

	test('has a command that mends each lack', () => {
		expect(remedy(system('trixie'), tool('QEMU'))).toBe('apt-get install qemu-system-x86');
		expect(remedy(system('bookworm'), tool('clang'))).toBe('apt-get install clang-19');
		expect(remedy(system('bookworm'), tool('virtme-ng'))).toBe('npx pathproof doctor --fix (virtme-ng from trixie)');
		expect(remedy('Fedora Linux 44', tool('clang'))).toBe('install clang ≥ 19 (in Debian: clang-19)');
	});
});

test('Debian 12 takes virtme-ng from trixie, and nothing else of it', () => {
	expect(
		preferences({
			...system('bookworm'),
			pins: [
				{ suite: 'bookworm-backports', packages: ['bpftool', 'libbpf1'] },
				{ suite: 'trixie', packages: ['virtme-ng'] },
			],
		}),
	).toBe(
		`Package: *
Pin: release n=trixie
Pin-Priority: -1

Package: bpftool libbpf1
Pin: release n=bookworm-backports
Pin-Priority: 600

Package: virtme-ng
Pin: release n=trixie
Pin-Priority: 600
`,
	);
});
