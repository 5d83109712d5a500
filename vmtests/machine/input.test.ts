import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'pathproof';
import { turn } from '../support/turns.ts';

test('a program in the guest is written to while it runs, and ends with its input', turn(0), async ({ vm }) => {
	await using cat = await vm.spawn(['cat'], { keepInput: true });
	await cat.write('asked\n');
	expect(await cat.waitFor(/asked/)).toBe('asked');
	await cat.write('and again\n');
	await cat.endInput();
	expect(await cat.ended).toEqual({ stdout: 'asked\nand again\n', stderr: '', code: 0, signal: null });
});

test('what is written arrives whole and in order, however much it is', turn(1), async ({ vm }) => {
	await using sum = await vm.spawn(['sha256sum'], { keepInput: true });
	const block = Buffer.alloc(256 * 1024, 'pathproof');
	for (let written = 0; written < 8; written++) await sum.write(block);
	await sum.endInput();
	const { createHash } = await import('node:crypto');
	const expected = createHash('sha256')
		.update(Buffer.concat(Array(8).fill(block)))
		.digest('hex');
	expect((await sum.ended).stdout).toBe(`${expected}  -\n`);
});

test('a program that ends without reading its input is no harm to the guest', turn(2), async ({ vm }) => {
	await using deaf = await vm.spawn(['sh', '-c', 'exec 0<&-; sleep 1'], { keepInput: true });
	await sleep(300);
	await deaf.write(Buffer.alloc(2 ** 20));
	expect((await deaf.ended).code).toBe(0);
	await deaf.write('to nobody');
	expect((await vm.exec(['echo', 'alive'])).stdout).toBe('alive\n');
});
