/**
 * Asks virtme-ng how a kernel boots on this machine: `virtme-run --dry-run --show-command` is the one place that knows
 * architectures, build trees and KVM's options. Asked once per kernel; the pool then runs the answer, less what a snapshot
 * cannot hold.
 */
import { type ExecaError, execa } from 'execa';
import { PathproofError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import type { Accel } from './vm.ts';

/** What virtme-ng's answer holds that a forkable guest cannot: each row drops an option where its value matches. */
const LEFT_OUT: { option: string; value?: RegExp; why: string }[] = [
	{ option: '-fsdev', why: 'QEMU does not migrate while a 9p export is mounted, and the guest needs none' },
	{ option: '-device', value: /^virtio-9p/, why: 'the same' },
	{ option: '-device', value: /^i6300esb/, why: 'a watchdog would fire in a template that was stopped' },
	{
		option: '-device',
		value: /^virtconsole/,
		why: 'the console is the first serial port, which works before virtio does',
	},
	{ option: '-device', value: /^virtio-serial/, why: 'the agent channel adds its own, with a known address' },
	{ option: '-chardev', why: 'virtme-ng wires its own terminal to the guest; the pool gives it sockets' },
	{ option: '-serial', why: 'the same' },
	{ option: '-append', why: 'the kernel arguments are those of our own initramfs' },
	{ option: '-m', why: 'memory belongs to the snapshot: a file that forks share' },
	{ option: '-smp', why: 'the profile decides' },
	{ option: '-machine', value: /^accel=/, why: 'the accelerator is the one that a boot has proved' },
];

/** The arguments of `virtme-run` that describe this kernel; `emptyRoot` is a directory to export, which is then left out. */
export function virtmeArguments(kernel: Pick<Kernel, 'kdir' | 'vmlinuz'>, accel: Accel, emptyRoot: string): string[] {
	return [
		...(kernel.kdir ? ['--kdir', kernel.kdir] : ['--kimg', kernel.vmlinuz]),
		...['--mods', 'none'],
		...['--root', emptyRoot],
		'--force-9p', // a virtiofsd would add a memory backend of its own
		'--disable-microvm', // does not get past early boot under TCG
		'--disable-monitor',
		...(accel === 'tcg' ? ['--disable-kvm'] : []),
		'--dry-run',
		'--show-command',
	];
}

/** virtme-ng's QEMU command without what LEFT_OUT names. */
export function adopt(command: string[]): string[] {
	const kept: string[] = [];
	for (let at = 0; at < command.length; at++) {
		const option = command[at]!;
		const value = command[at + 1];
		const takesValue = at > 0 && option.startsWith('-') && value !== undefined && !value.startsWith('-');
		const leftOut = LEFT_OUT.some((row) => row.option === option && (!row.value || row.value.test(value ?? '')));
		if (!leftOut) kept.push(option, ...(takesValue ? [value] : []));
		if (takesValue) at++;
	}
	return kept;
}

/** QEMU's binary and the arguments with which virtme-ng would boot this kernel here. */
export async function askVirtme(kernel: Kernel, accel: Accel, emptyRoot: string): Promise<string[]> {
	try {
		const { stdout } = await execa('virtme-run', virtmeArguments(kernel, accel, emptyRoot), { stdin: 'ignore' });
		// The answer is quoted for a shell: let a shell take it apart.
		const { stdout: words } = await execa('sh', ['-c', `set -- ${stdout.trim()}; printf '%s\\0' "$@"`]);
		return adopt(words.split('\0').slice(0, -1));
	} catch (error) {
		const { code, stderr } = error as ExecaError;
		if (code === 'ENOENT') {
			throw new PathproofError('virtme-run is not installed', {
				stage: 'setup',
				hint: 'npx pathproof doctor --fix',
				cause: error,
			});
		}
		throw new PathproofError(`virtme-ng cannot say how to boot ${kernel.vmlinuz}: ${String(stderr ?? error).trim()}`, {
			stage: 'boot',
			kernel: kernel.id,
			accel,
			hint: 'npx pathproof doctor',
			cause: error,
		});
	}
}
