import { describe, expect, test } from 'vitest';
import { Console, findSplat } from './console.ts';

describe('what a kernel says of itself on its console', () => {
	test('a panic is named by its message and the functions on its stack', () => {
		const text = `[   12.345678] sysrq: Trigger a crash
[   12.345999] Kernel panic - not syncing: sysrq triggered crash
[   12.346100] CPU: 0 UID: 0 PID: 77 Comm: sh Not tainted 6.12.117+deb13-cloud-amd64 #1
[   12.346200] Call Trace:
[   12.346300]  <TASK>
[   12.346400]  panic+0x11d/0x2f0
[   12.346500]  sysrq_handle_crash+0x1a/0x20
[   12.346600]  __handle_sysrq.cold+0x9d/0x164
[   12.346700]  write_sysrq_trigger+0x63/0xa0
`;
		expect(findSplat(text)).toEqual({
			kind: 'panic',
			line: 'Kernel panic - not syncing: sysrq triggered crash',
			fingerprint: ['sysrq_handle_crash', '__handle_sysrq.cold', 'write_sysrq_trigger'],
		});
	});

	test('an oops is named by the instruction pointer first', () => {
		const text = `BUG: kernel NULL pointer dereference, address: 0000000000000008
RIP: 0010:netkit_xmit+0x42/0x3b0
Call Trace:
 <TASK>
 dev_hard_start_xmit+0x8d/0x1d0
`;
		expect(findSplat(text)).toMatchObject({ kind: 'oops', fingerprint: ['netkit_xmit', 'dev_hard_start_xmit'] });
	});

	test('an everyday log is no complaint', () => {
		expect(findSplat('Linux version 6.12\nBPF: warning is a word\npathproof: ready\n')).toBeNull();
	});

	test('is kept in a ring: the newest 256 KiB, of which an error quotes 40 lines', () => {
		const console = new Console();
		for (let line = 0; line < 20_000; line++) console.append(`this is line number ${line}\r\n`);
		expect(console.text.length).toBe(256 * 1024);
		expect(console.tail).toHaveLength(40);
		expect(console.tail.at(-1)).toBe('this is line number 19999');
	});
});
