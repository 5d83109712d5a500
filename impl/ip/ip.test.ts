import { expect, test } from 'vitest';
import { failedCommand, ipBatchArgs } from './ip.ts';

test('many commands are one process, of the family that is asked for', () => {
	expect(ipBatchArgs({})).toEqual(['-batch', '-']);
	expect(ipBatchArgs({ family: '-6' })).toEqual(['-6', '-batch', '-']);
});

test('the command that failed is named by its words, not by its line', () => {
	const input = 'link add web type veth\nlink set dev web up\n';
	expect(failedCommand('Cannot find device "web"\nCommand failed -:2\n', input)).toBe('link set dev web up');
	expect(failedCommand('Cannot open network namespace "web"\n', input)).toBeNull();
});
