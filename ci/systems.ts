/** What pathproof needs of a machine, and how each system provides it. Data only; `judge.ts` reads it. */
import { OLDEST_QEMU } from '../kernels/qemu-version.ts';

export type ToolName =
	| 'QEMU'
	| 'virtme-ng'
	| 'mmdebstrap'
	| 'mkfs.erofs'
	| 'clang'
	| 'bpftool'
	| 'libbpf headers'
	| 'static busybox'
	| 'xz'
	| 'tshark'
	| 'depmod'
	| 'setpriv'
	| 'newuidmap'
	| 'dpkg-deb'
	| 'apt'
	| 'Debian keyring';

export interface Tool {
	name: ToolName;
	/** what it does here */
	use: string;
	/** Any of these programs; the first that is there and new enough. */
	programs?: string[];
	/** what the program is asked; without it, being there is enough */
	ask?: string[];
	/** the program must need no shared library */
	static?: true;
	/** or: this file is there */
	file?: string;
	/** finds the version in the program's answer or the file; one group for each number */
	version?: RegExp;
	/** the least version that is enough, and why older ones are not */
	atLeast?: { version: string; because: string };
}

export const TOOLS: Tool[] = [
	{
		name: 'QEMU',
		use: 'runs the guests',
		programs: ['qemu-system-x86_64'],
		ask: ['--version'],
		version: /version (\d+)\.(\d+)\.(\d+)/,
		atLeast: {
			version: `${OLDEST_QEMU}.0`,
			because: 'under TCG, QEMU 7.2 corrupts guest memory with -smp 2: half the boots panic; 10.0 booted every time',
		},
	},
	{
		name: 'virtme-ng',
		use: 'knows how a kernel boots on this machine',
		programs: ['vng'],
		ask: ['--version'],
		version: /(\d+)\.(\d+)/,
		atLeast: { version: '1.35', because: 'older ones were not tried' },
	},
	{ name: 'mmdebstrap', use: "makes the guest's root", programs: ['mmdebstrap'] },
	{ name: 'mkfs.erofs', use: "packs the guest's root", programs: ['mkfs.erofs'] },
	{
		name: 'clang',
		use: 'compiles the BPF programs',
		programs: ['clang-21', 'clang-20', 'clang-19', 'clang'],
		ask: ['--version'],
		version: /version (\d+)\.(\d+)\.(\d+)/,
		atLeast: { version: '19', because: 'the datapath and its budgets were measured with 19' },
	},
	{
		name: 'bpftool',
		use: 'shows what BPF is loaded',
		programs: ['bpftool'],
		ask: ['version'],
		version: /v(\d+)\.(\d+)/,
	},
	{
		name: 'libbpf headers',
		use: 'are included by the BPF programs',
		file: '/usr/include/bpf/libbpf_version.h',
		version: /MAJOR_VERSION (\d+)[\s\S]*MINOR_VERSION (\d+)/,
		atLeast: { version: '1.4', because: 'older ones lack the tcx and netkit declarations' },
	},
	{
		name: 'static busybox',
		use: "is the initramfs's userland",
		programs: ['busybox'],
		static: true,
	},
	{ name: 'xz', use: 'unpacks kernel modules', programs: ['xz'] },
	{ name: 'tshark', use: 'reads captures back, in the tests', programs: ['tshark'] },
	{ name: 'depmod', use: 'indexes kernel modules', programs: ['depmod'] },
	{ name: 'setpriv', use: 'ends QEMU with its parent', programs: ['setpriv'] },
	{ name: 'newuidmap', use: "lets users who are not root make the guest's root", programs: ['newuidmap'] },
	{ name: 'dpkg-deb', use: 'unpacks kernel packages', programs: ['dpkg-deb'] },
	{ name: 'apt', use: 'fetches and verifies kernel packages', programs: ['apt-get'] },
	{ name: 'Debian keyring', use: 'verifies Debian archives', file: '/usr/share/keyrings/debian-archive-keyring.gpg' },
];

/** The package that holds each tool, by its name in Debian and in Ubuntu. */
export const PACKAGES: Record<ToolName, string> = {
	QEMU: 'qemu-system-x86',
	'virtme-ng': 'virtme-ng',
	mmdebstrap: 'mmdebstrap',
	'mkfs.erofs': 'erofs-utils',
	clang: 'clang-19',
	bpftool: 'bpftool',
	'libbpf headers': 'libbpf-dev',
	'static busybox': 'busybox-static',
	xz: 'xz-utils',
	tshark: 'tshark',
	depmod: 'kmod',
	setpriv: 'util-linux',
	newuidmap: 'uidmap',
	'dpkg-deb': 'dpkg',
	apt: 'apt',
	'Debian keyring': 'debian-archive-keyring',
};

/** Where a package comes from when it is not the system's own release, newest choice last. */
export interface Pin {
	suite: string;
	packages: string[];
}

export interface System {
	/** `ID` and `VERSION_CODENAME` of /etc/os-release */
	id: 'debian' | 'ubuntu';
	codename: string;
	name: string;
	/** where a tool is in a package of another name than in `PACKAGES` */
	packages?: Partial<Record<ToolName, string>>;
	/** Debian suites to install from, by a private apt configuration; without it, the machine's own apt is enough. */
	suites?: string[];
	/** what comes from a newer suite; all else of it stays out of reach */
	pins?: Pin[];
	/** why nothing is installed here, and what to do instead */
	refusal?: string;
	/** how far this row was tried */
	tried: string;
}

export const SYSTEMS: System[] = [
	{
		id: 'debian',
		codename: 'bookworm',
		name: 'Debian 12 (bookworm)',
		suites: ['bookworm', 'bookworm-updates', 'bookworm-security', 'bookworm-backports', 'trixie'],
		pins: [
			// bookworm has QEMU 7.2, libbpf 1.1 and bpftool 7.1. What QEMU 10 needs beside it is named, since a pin does not reach dependencies.
			{
				suite: 'bookworm-backports',
				packages: [
					'qemu-system-x86',
					'qemu-system-common',
					'qemu-system-data',
					'qemu-utils',
					'qemu-block-extra',
					'seabios',
					'libcapstone4',
					'bpftool',
					'libbpf1',
					'libbpf-dev',
					'mmdebstrap',
				],
			},
			// Pure Python, and in no suite of bookworm's.
			{ suite: 'trixie', packages: ['virtme-ng'] },
		],
		tried: 'installed on a bare machine',
	},
	{ id: 'debian', codename: 'trixie', name: 'Debian 13 (trixie)', tried: 'installed on a bare machine' },
	{
		id: 'debian',
		codename: 'forky',
		name: 'Debian 14 (forky)',
		packages: { clang: 'clang' },
		tried: 'resolved by apt',
	},
	{
		id: 'ubuntu',
		codename: 'noble',
		name: 'Ubuntu 24.04 (noble)',
		refusal:
			'its QEMU is 8.2, which has not been measured to be sound, and its virtme-ng is 1.22: upgrade to Ubuntu 25.10 or later, or run pathproof in a Debian 12 or 13 container',
		tried: 'refused by its package versions',
	},
	{
		id: 'ubuntu',
		codename: 'plucky',
		name: 'Ubuntu 25.04 (plucky)',
		refusal:
			'its QEMU is 9.2, which has not been measured to be sound: upgrade to Ubuntu 25.10 or later, or run pathproof in a Debian 12 or 13 container',
		tried: 'refused by its package versions',
	},
	{ id: 'ubuntu', codename: 'questing', name: 'Ubuntu 25.10 (questing)', tried: 'resolved by apt' },
	{ id: 'ubuntu', codename: 'resolute', name: 'Ubuntu 26.04 (resolute)', tried: 'resolved by apt' },
	{ id: 'ubuntu', codename: 'stonking', name: 'Ubuntu 26.10 (stonking)', tried: 'resolved by apt' },
];
