/**
 * A guest's hardware as a parts list: `qemuArguments` is a pure function of a typed configuration and runs nothing.
 * The channels of a guest are sockets that QEMU inherits, so that nothing of it is ever left in a file system.
 */
import type { Accel, Profile } from './vm.ts';
import { type Nics, wiresOf } from './wire.ts';

/** File descriptors that QEMU inherits, each one end of a socket pair. */
export const CONSOLE_FD = 3;
export const AGENT_FD = 4;
export const QMP_FD = 5;

/** How the guest's RAM is held. */
export type Memory =
	/** a file that this guest writes: the memory of a template in the making */
	| { kind: 'template'; path: string }
	/** the same file, shared copy-on-write: what a fork writes is its own */
	| { kind: 'fork'; path: string }
	/** nobody else's: a kept fork that is resumed */
	| { kind: 'own' };

export type AgentPort = 'virtio-serial' | 'isa-serial';

export interface MachineConfig {
	/** QEMU's binary and what virtme-ng says of this kernel */
	base: string[];
	profile: Profile;
	accel: Accel;
	memoryMiB: number;
	memory: Memory;
	initrd: string;
	kernelArguments: string[];
	/** the guest's read-only root; null where the initramfs is the root */
	root: string | null;
	agentPort: AgentPort;
	/** joined in pairs outside the guest; none without */
	nics?: Nics;
	/** start paused, waiting for a state over QMP */
	incoming: boolean;
}

/** The whole command line, program first. */
export function qemuArguments(config: MachineConfig): string[] {
	return [
		...config.base,
		...bareBoard(),
		...processor(config),
		...memory(config),
		...(config.root ? readOnlyDisk(config.root) : []),
		...console(),
		...agentChannel(config.agentPort),
		...control(),
		...(config.nics ? wires(config.nics, config.profile) : []),
		...['-initrd', config.initrd],
		...['-append', config.kernelArguments.join(' ')],
		'-no-reboot', // a panic, with panic=-1, ends QEMU
		...(config.incoming ? ['-incoming', 'defer'] : []),
	];
}

/** A board with nothing on it that we did not put there. */
function bareBoard(): string[] {
	return [
		...['-machine', 'q35,memory-backend=ram'],
		'-nodefaults',
		'-no-user-config',
		...['-display', 'none'],
		...['-name', 'pathproof,debug-threads=on'],
	];
}

/** A CPU that stock kernels boot on, less what TCG lacks and would warn of; `-cpu max` boots a third slower. */
const EMULATED_CPU = 'Haswell-noTSX,pcid=off,tsc-deadline=off,invpcid=off';

function processor({ profile, accel }: MachineConfig): string[] {
	if (profile === 'exact') {
		return [
			...['-accel', 'tcg,thread=single'],
			...['-smp', '1'],
			// One guest nanosecond is one instruction, and idle time is skipped.
			...['-icount', 'shift=0,sleep=off'],
			...['-rtc', 'base=2026-01-01,clock=vm'],
			...['-cpu', `${EMULATED_CPU},rdrand=off,rdseed=off`],
			...['-seed', '1'],
		];
	}
	return accel === 'kvm'
		? ['-accel', 'kvm', '-cpu', 'host', '-smp', '2']
		: ['-accel', 'tcg,thread=multi', '-cpu', EMULATED_CPU, '-smp', '2'];
}

function memory({ memory, memoryMiB }: MachineConfig): string[] {
	const backend = {
		template: () => `memory-backend-file,mem-path=${(memory as { path: string }).path},share=on`,
		// Opened read-only and mapped privately: a template is never written, and may lie on a read-only disk.
		fork: () => `memory-backend-file,mem-path=${(memory as { path: string }).path},share=off,readonly=on,rom=off`,
		own: () => 'memory-backend-ram',
	}[memory.kind]();
	return ['-object', `${backend},id=ram,size=${memoryMiB}M`, '-m', `${memoryMiB}M`];
}

function readOnlyDisk(path: string): string[] {
	return [
		...['-drive', `file=${path},format=raw,if=none,id=root,readonly=on`],
		...['-device', 'virtio-blk-pci,drive=root'],
	];
}

/** The first serial port: it works before any driver does, and after a panic. */
function console(): string[] {
	return ['-chardev', `socket,id=console,fd=${CONSOLE_FD}`, '-serial', 'chardev:console'];
}

function agentChannel(port: AgentPort): string[] {
	const socket = ['-chardev', `socket,id=agent,fd=${AGENT_FD}`];
	return {
		'virtio-serial': [
			...socket,
			...['-device', 'virtio-serial-pci'],
			...['-device', 'virtserialport,chardev=agent,name=pathproof'],
		],
		'isa-serial': [...socket, '-serial', 'chardev:agent'],
	}[port];
}

function control(): string[] {
	return ['-chardev', `socket,id=control,fd=${QMP_FD}`, '-mon', 'chardev=control,mode=control'];
}

/**
 * Each wire is a hub of QEMU's own with a NIC in either of its two ports. A hub carries plain frames and no virtio-net header, which is
 * where a NIC would be told of a checksum still to fill in or a packet still to cut up: QEMU therefore offers the guest neither, and what
 * the guest's kernel has computed, segmented and tagged itself is what is on the wire. No process or interface of the machine is in it.
 */
function wires(nics: Nics, profile: Profile): string[] {
	const device = [
		'virtio-net-pci',
		'romfile=', // nothing boots from it
		// What is filtered outside the guest is a drop that no tracer sees: a frame for another's address, or with a tag nobody asked for.
		...['ctrl_rx=off', 'ctrl_vlan=off'],
		'guest_announce=off', // a fork would greet its neighbours
		// By a timer of the guest's clock, 150 us after the first frame; without, QEMU's main loop sends when the machine gets round to it.
		// 7.3, three forks: a thousand netperf transactions took 0.35 to 0.38 s of guest time with it, 0.15 to 0.27 s without.
		...(profile === 'exact' ? ['tx=timer'] : []),
	];
	const ends = wiresOf(nics).flatMap(({ host, peer }, hub) => [
		{ id: `wire${hub}-host`, mac: host, hub },
		{ id: `wire${hub}-peer`, mac: peer, hub },
	]);
	return [
		...ends.flatMap(({ id, mac, hub }) => [
			...['-netdev', `hubport,id=${id},hubid=${hub}`],
			...['-device', [...device, `netdev=${id}`, `mac=${mac}`].join(',')],
		]),
		...['-global', 'migration.announce-rounds=0'], // else QEMU sends five RARPs from each NIC of a guest that it restores
	];
}
