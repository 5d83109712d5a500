import { expect, test } from 'vitest';
import { failedCommand, failures, ipBatchArgs, ipEach } from './ip.ts';

test('many commands are one process, of the family that is asked for', () => {
	expect(ipBatchArgs({})).toEqual(['-batch', '-']);
	expect(ipBatchArgs({ family: '-6' })).toEqual(['-6', '-batch', '-']);
});

test('the command that failed is named by its words, not by its line', () => {
	const input = 'link add web type veth\nlink set dev web up\n';
	expect(failedCommand('Cannot find device "web"\nCommand failed -:2\n', input)).toBe('link set dev web up');
	expect(failedCommand('Cannot open network namespace "web"\n', input)).toBeNull();
});

test('of commands that are all tried, each that failed is told with what was said of it', () => {
	const input = 'addr add 192.0.2.1/32 dev a\naddr add 192.0.2.2/32 dev a\naddr add 192.0.2.3/32 dev a\n';
	const stderr =
		'Error: ipv4: Address already assigned.\nCommand failed -:1\nRTNETLINK answers: Address already in use\nCommand failed -:3\n';
	expect(failures(stderr, input)).toEqual([
		{ command: 'addr add 192.0.2.1/32 dev a', said: 'Error: ipv4: Address already assigned.' },
		{ command: 'addr add 192.0.2.3/32 dev a', said: 'RTNETLINK answers: Address already in use' },
	]);
	expect(failures('', input)).toEqual([]);
});

test('a command behind one that failed is run too', async () => {
	expect(await ipEach(null, ['link show dev no-such-one', 'link show dev lo', 'link show dev nor-this'])).toEqual([
		{ command: 'link show dev no-such-one', said: 'Device "no-such-one" does not exist.' },
		{ command: 'link show dev nor-this', said: 'Device "nor-this" does not exist.' },
	]);
});
