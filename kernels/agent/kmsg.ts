/** The format of /dev/kmsg, Documentation/ABI/testing/dev-kmsg. */
import type { KernelMessage } from './protocol.ts';

/** `priority,sequence,microseconds,flags;text`, then lines of ` KEY=value`. Throws nothing: what is no record is text. */
export function parseRecord(record: string): KernelMessage {
	const end = record.indexOf(';');
	const [priority = '0', sequence = '0', time = '0'] = record.slice(0, end).split(',');
	const text = record.slice(end + 1);
	const line = text.indexOf('\n');
	return {
		level: Number(priority) & 7,
		sequence: Number(sequence),
		time: Number(time),
		text: line < 0 ? text : text.slice(0, line),
	};
}
