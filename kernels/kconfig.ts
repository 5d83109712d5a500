/** What a kernel was built with, read from its `.config`. */
import { existsSync, readFileSync } from 'node:fs';
import { PathproofError } from './errors.ts';

export function isSet(config: string, option: string): boolean {
	return new RegExp(`^${option}=[ym]$`, 'm').test(config);
}

export function isBuiltIn(config: string, option: string): boolean {
	return new RegExp(`^${option}=y$`, 'm').test(config);
}

/** Without these, built in, a guest ends before its agent's first word, some of them without a word of its own either. */
export const NEEDED = [
	['CONFIG_64BIT', 'the guest is a 64-bit Debian'],
	['CONFIG_SERIAL_8250_CONSOLE', 'the console is a serial port'],
	['CONFIG_BLK_DEV_INITRD', 'it boots from an initramfs'],
	['CONFIG_BINFMT_ELF', 'programs'],
	['CONFIG_BINFMT_SCRIPT', "the guest's init is a script"],
	['CONFIG_DEVTMPFS', 'there is no udev: the kernel makes its devices'],
	['CONFIG_PROC_FS', 'Node, and everybody'],
	['CONFIG_SYSFS', "finding the agent's port"],
	['CONFIG_TMPFS', 'what tests write'],
	['CONFIG_FUTEX', 'threads'],
	['CONFIG_EPOLL', "Node's event loop"],
	['CONFIG_EVENTFD', "waking Node's event loop"],
	['CONFIG_NET', 'the loopback device'],
] as const;

/**
 * Refuses a kernel that cannot become a guest, by the names of what it lacks. `path` may name no file: then nothing is known.
 * Throws stage `usage`.
 */
export function checkConfig(path: string): void {
	if (!existsSync(path)) return;
	const config = readFileSync(path, 'utf8');
	const lacking = NEEDED.filter(([option]) => !isBuiltIn(config, option));
	if (lacking.length === 0) return;
	throw new PathproofError(
		`a guest cannot do without ${lacking.map(([option, why]) => `${option} (${why})`).join(', ')}: not set in ${path}`,
		{
			stage: 'usage',
			hint: `scripts/config --file ${path} ${lacking.map(([option]) => `-e ${option.slice('CONFIG_'.length)}`).join(' ')}, make olddefconfig, and build it again`,
		},
	);
}
