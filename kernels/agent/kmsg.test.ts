import { expect, test } from 'vitest';
import { parseRecord } from './kmsg.ts';

test('a record of the kernel log is its level, number, time and first line', () => {
	expect(
		parseRecord('4,1234,5678901,-;WARNING: CPU: 0 PID: 1 at net/core/dev.c:1\n SUBSYSTEM=net\n DEVICE=n1\n'),
	).toEqual({
		level: 4,
		sequence: 1234,
		time: 5678901,
		text: 'WARNING: CPU: 0 PID: 1 at net/core/dev.c:1',
	});
});

test('the facility does not count into the level', () => {
	expect(parseRecord('30,7,1,-;systemd[1]: hello')).toMatchObject({ level: 6, text: 'systemd[1]: hello' });
});

test('a semicolon in the text stays there', () => {
	expect(parseRecord('6,1,2,c;a; b').text).toBe('a; b');
});
