/** The kernel's log, from /dev/kmsg: one record per read. */
import { constants, openSync } from 'node:fs';
import { parseRecord } from './kmsg.ts';
import { readNow } from './native.ts';
import type { KernelMessage, KernelMessages } from './protocol.ts';

const LONGEST_RECORD = 8 * 1024;
/** records kept: what a host may still ask for */
const KEPT = 2000;

// Opened once: a new descriptor begins at the oldest record, and reading a boot's log takes long under TCG.
const fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
const buffer = Buffer.allocUnsafeSlow(LONGEST_RECORD);
const kept: KernelMessage[] = [];

export function dmesg(since = 0): KernelMessages {
	// A record that was overwritten before we read it answers EPIPE once, and the next read goes on with the oldest.
	for (let record = readNow(fd, buffer); record; record = readNow(fd, buffer))
		kept.push(parseRecord(record.toString()));
	kept.splice(0, kept.length - KEPT);
	const next = (kept.at(-1)?.sequence ?? -1) + 1;
	return { next, messages: kept.filter(({ sequence }) => sequence >= since) };
}
