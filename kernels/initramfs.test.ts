import { describe, expect, test } from 'vitest';
import declared from '../fixtures/guest-modules.json' with { type: 'json' };
import { argumentsFor, type DeclaredModule, initramfsPlan } from './initramfs.ts';
import { agentFiles, stripTypes } from './initramfs-content.ts';
import { parseModules } from './modules.ts';

const rows: DeclaredModule[] = [
	{ name: 'virtio_pci', insert: true, builtin: '6.12', why: '' },
	{ name: 'virtio_console', insert: true, builtin: '6.12', why: '' },
	{ name: 'virtio_blk', insert: true, why: '' },
	{ name: 'erofs', insert: true, why: '' },
	{ name: 'overlay', insert: true, why: '' },
	{ name: 'dummy', insert: true, parameters: 'numdummies=0', why: '' },
	{
		name: 'netkit',
		insert: true,
		builtin: '6.10',
		absent: { before: '6.10', why: 'Debian builds it from 6.10 on' },
		why: '',
	},
	{ name: 'sch_netem', insert: false, why: '' },
];
const files = ['virtio_blk', 'erofs', 'overlay', 'dummy', 'sch_netem']
	.map((name) => `kernel/${name}.ko.xz:\n`)
	.join('');
const virtio = 'kernel/virtio_pci.ko\nkernel/virtio_console.ko\n';
const debian = (series: string) => ({ series, flavour: 'cloud' as const });

describe('what goes into an initramfs', () => {
	test('modules to insert in order, the others at hand', () => {
		expect(initramfsPlan(debian('6.1'), parseModules(files, virtio), rows)).toEqual({
			root: 'disk',
			agentPort: 'virtio-serial',
			insert: ['kernel/virtio_blk.ko.xz', 'kernel/erofs.ko.xz', 'kernel/overlay.ko.xz', 'kernel/dummy.ko.xz'],
			parameters: { 'kernel/dummy.ko.xz': 'numdummies=0' },
			available: ['kernel/sch_netem.ko.xz'],
			missing: [],
		});
	});

	test('a module that Debian ought to have and has not is missing', () => {
		const plan = initramfsPlan(debian('6.12'), parseModules(files.replace(/.*sch_netem.*\n/, ''), virtio), rows);
		expect(plan.missing).toEqual(['netkit', 'sch_netem']);
	});

	test('where the packages do not say what is built in, the list says', () => {
		expect(initramfsPlan(debian('7.3'), parseModules(files, ''), rows)).toMatchObject({ root: 'disk', missing: [] });
	});

	test('a kernel without modules keeps its root in RAM', () => {
		expect(initramfsPlan(debian('7.0'), null, rows)).toMatchObject({
			root: 'ram',
			agentPort: 'virtio-serial',
			insert: [],
		});
	});

	test('a build tree lacks what its owner left out, and finds another way to boot', () => {
		const small = parseModules('', 'drivers/virtio/virtio_pci.ko\n');
		const plan = initramfsPlan({ series: '6.12', flavour: 'custom' }, small, rows);
		expect(plan).toMatchObject({ root: 'ram', agentPort: 'isa-serial', missing: [] });
		expect(argumentsFor(plan)).toContain('pathproof.tty=/dev/ttyS1');
	});

	test('a root in RAM is started by its own init', () => {
		expect(argumentsFor({ root: 'ram', agentPort: 'virtio-serial' })).toContain('rdinit=/pathproof/init');
		expect(argumentsFor({ root: 'disk', agentPort: 'virtio-serial' })).not.toContain('rdinit=/pathproof/init');
	});

	test('every declared module says why', () => {
		expect(declared.filter(({ why }) => !why)).toEqual([]);
	});
});

describe('the agent in the guest', () => {
	test('has its types stripped on the host', () => {
		expect(stripTypes('export const one = (n: number): number => n;')).toBe(
			'export const one = (n        )         => n;',
		);
	});

	test('lies where its imports find each other', () => {
		const paths = agentFiles().map(({ path }) => path);
		expect(paths).toContain('init');
		expect(paths).toContain('pathproof/init');
		expect(paths).toContain('pathproof/kernels/channel.ts');
		expect(paths).toContain('pathproof/kernels/agent/boot.mjs');
		expect(paths.filter((path) => path.includes('.test.'))).toEqual([]);
	});

	test('imports only what is there', () => {
		const files = agentFiles();
		const paths = new Set(files.map(({ path }) => path));
		const lacking = files.flatMap(({ path, data }) =>
			Array.from(data.matchAll(/from '(\.[^']+)'/g), ([, to]) =>
				new URL(to!, `file:///${path}`).pathname.slice(1),
			).filter((target) => !paths.has(target)),
		);
		expect(lacking).toEqual([]);
	});
});
