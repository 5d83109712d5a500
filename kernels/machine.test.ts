import { describe, expect, test } from 'vitest';
import { type MachineConfig, qemuArguments } from './machine.ts';

const fork: MachineConfig = {
	base: ['/usr/bin/qemu-system-x86_64', '-kernel', 'vmlinuz'],
	profile: 'functional',
	accel: 'tcg',
	memoryMiB: 1024,
	memory: { kind: 'fork', path: 'ram' },
	initrd: 'initrd.img',
	kernelArguments: ['console=ttyS0', 'panic=-1'],
	root: 'root.erofs',
	agentPort: 'virtio-serial',
	incoming: true,
};

/** The values of one option, in order. */
const values = (config: MachineConfig, option: string) =>
	qemuArguments(config).filter((_, at, all) => all[at - 1] === option);

describe('the QEMU command line', () => {
	test('a fork maps the memory of its template copy-on-write and waits for its state', () => {
		expect(values(fork, '-object')).toEqual([
			'memory-backend-file,mem-path=ram,share=off,readonly=on,rom=off,id=ram,size=1024M',
		]);
		expect(values(fork, '-incoming')).toEqual(['defer']);
	});

	test('a template writes its memory to the file that its forks will map', () => {
		const template: MachineConfig = { ...fork, memory: { kind: 'template', path: 'ram' }, incoming: false };
		expect(values(template, '-object')).toEqual(['memory-backend-file,mem-path=ram,share=on,id=ram,size=1024M']);
		expect(values(template, '-incoming')).toEqual([]);
	});

	test('the functional profile has two CPUs on multi-threaded TCG', () => {
		expect(values(fork, '-smp')).toEqual(['2']);
		expect(values(fork, '-accel')).toEqual(['tcg,thread=multi']);
		expect(values(fork, '-machine')).toEqual(['q35,memory-backend=ram']);
	});

	test('the exact profile counts instructions on one CPU, its clock and its random numbers fixed', () => {
		const exact: MachineConfig = { ...fork, profile: 'exact' };
		expect(values(exact, '-smp')).toEqual(['1']);
		expect(values(exact, '-icount')).toEqual(['shift=0,sleep=off']);
		expect(values(exact, '-rtc')).toEqual(['base=2026-01-01,clock=vm']);
		expect(values(exact, '-cpu')).toEqual([
			'Haswell-noTSX,pcid=off,tsc-deadline=off,invpcid=off,rdrand=off,rdseed=off',
		]);
	});

	test('KVM shows the guest the CPU of its host', () => {
		expect(values({ ...fork, accel: 'kvm' }, '-accel')).toEqual(['kvm']);
		expect(values({ ...fork, accel: 'kvm' }, '-cpu')).toEqual(['host']);
	});

	test('a guest whose root is its initramfs has no disk', () => {
		expect(values(fork, '-device')).toContain('virtio-blk-pci,drive=root');
		expect(values({ ...fork, root: null }, '-drive')).toEqual([]);
	});

	test('the agent speaks through a named virtio port, or a serial port where the kernel has no virtio', () => {
		expect(values(fork, '-device')).toContain('virtserialport,chardev=agent,name=pathproof');
		expect(values({ ...fork, agentPort: 'isa-serial' }, '-serial')).toEqual(['chardev:console', 'chardev:agent']);
	});

	test('a wire is two NICs on a hub of QEMU, which filter nothing and announce nothing', () => {
		const wired: MachineConfig = { ...fork, nics: 2 };
		expect(values(wired, '-netdev')).toEqual(['hubport,id=wire0-host,hubid=0', 'hubport,id=wire0-peer,hubid=0']);
		expect(values(wired, '-device').slice(-2)).toEqual([
			'virtio-net-pci,romfile=,ctrl_rx=off,ctrl_vlan=off,guest_announce=off,netdev=wire0-host,mac=02:00:5e:00:53:01',
			'virtio-net-pci,romfile=,ctrl_rx=off,ctrl_vlan=off,guest_announce=off,netdev=wire0-peer,mac=02:00:5e:00:53:02',
		]);
		expect(values(wired, '-global')).toEqual(['migration.announce-rounds=0']);
	});

	test('a second wire is a hub of its own', () => {
		expect(values({ ...fork, nics: 4 }, '-netdev').slice(2)).toEqual([
			'hubport,id=wire1-host,hubid=1',
			'hubport,id=wire1-peer,hubid=1',
		]);
		expect(values({ ...fork, nics: 4 }, '-device').at(-1)).toMatch(/netdev=wire1-peer,mac=02:00:5e:00:53:04$/);
	});

	test("in the exact profile a wire sends by the guest's own clock", () => {
		expect(values({ ...fork, profile: 'exact', nics: 2 }, '-device').at(-1)).toContain(',tx=timer,');
		expect(values({ ...fork, nics: 2 }, '-device').at(-1)).not.toContain('tx=');
	});

	test('a guest that asked for no NICs has the command line that it had before there were any', () => {
		expect(qemuArguments({ ...fork, nics: undefined })).toEqual(qemuArguments(fork));
		expect(qemuArguments(fork).filter((word) => /netdev|net-pci|migration/.test(word))).toEqual([]);
	});

	test('nothing of a running guest has a name in a file system: its channels are inherited descriptors', () => {
		expect(values(fork, '-chardev')).toEqual([
			'socket,id=console,fd=3',
			'socket,id=agent,fd=4',
			'socket,id=control,fd=5',
		]);
	});
});
