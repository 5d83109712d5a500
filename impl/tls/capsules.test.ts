import { expect, test } from 'vitest';
import { CapsuleReader, decodeVarint, encodeDatagram, encodeVarint } from './capsules.ts';

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

test('variable-length integers are those of RFC 9000, A.1', () => {
	const examples = [
		['c2 19 7c 5e ff 14 e8 8c', 151_288_809_941_952_652n],
		['9d 7f 3e 7d', 494_878_333n],
		['7b bd', 15_293n],
		['25', 37n],
	] as const;
	for (const [hex, value] of examples) {
		expect(decodeVarint(bytes(hex))).toEqual({ value, size: bytes(hex).length });
		expect(encodeVarint(value)).toEqual(bytes(hex));
	}
	expect(decodeVarint(bytes('40 25'))).toEqual({ value: 37n, size: 2 }); // longer than it need be, and as good
});

test('each size of a variable-length integer holds what the one below it does not', () => {
	const sizes = [0, 63, 64, 16_383, 16_384, 2 ** 30 - 1, 2 ** 30, 2n ** 62n - 1n].map(
		(value) => encodeVarint(value).length,
	);
	expect(sizes).toEqual([1, 1, 2, 2, 4, 4, 8, 8]);
	expect(() => encodeVarint(2n ** 62n)).toThrow(
		'4611686018427387904 fits no variable-length integer, which holds 0 to 2^62-1',
	);
	expect(() => encodeVarint(-1)).toThrow(RangeError);
});

test('a variable-length integer that is not all here is none yet', () => {
	expect(decodeVarint(bytes('9d 7f 3e'))).toBe(null);
	expect(decodeVarint(bytes('25'), 1)).toBe(null);
});

test('a datagram is a capsule of type 0 with context 0 before its payload', () => {
	expect(encodeDatagram(Buffer.from('hi'))).toEqual(bytes('00 03 00 6869'));
	expect(encodeDatagram(Buffer.alloc(0))).toEqual(bytes('00 01 00'));
	expect(encodeDatagram(Buffer.alloc(65_527)).subarray(0, 6)).toEqual(bytes('00 8000fff8 00'));
	expect(() => encodeDatagram(Buffer.alloc(65_528))).toThrow('65528 bytes are more than a datagram has');
});

test('datagrams are read in order, however the stream is cut', () => {
	const payloads = ['first', '', 'x'.repeat(70), 'y'.repeat(20_000), 'last'];
	const stream = Buffer.concat(payloads.map((payload) => encodeDatagram(Buffer.from(payload))));
	for (const size of [1, 2, 3, 7, 1000, stream.length]) {
		const reader = new CapsuleReader();
		const got: string[] = [];
		for (let at = 0; at < stream.length; at += size)
			got.push(...reader.push(stream.subarray(at, at + size)).map(String));
		expect(got).toEqual(payloads);
		expect(reader.whole).toBe(true);
	}
});

test('capsules of other types and datagrams of other contexts are passed over', () => {
	const reader = new CapsuleReader();
	const other = Buffer.concat([bytes('29 8001 86a0'), Buffer.alloc(100_000)]); // type 0x29, 100,000 bytes
	const foreign = bytes('00 03 02 aabb'); // context 2
	const stream = Buffer.concat([other, foreign, encodeDatagram(Buffer.from('mine'))]);
	const got = [stream.subarray(0, 50_000), stream.subarray(50_000)].flatMap((chunk) => reader.push(chunk));
	expect(got.map(String)).toEqual(['mine']);
	expect(reader.whole).toBe(true);
});

test('a stream that ends within a capsule is not whole', () => {
	for (const hex of ['00', '00 03 00 68', '29 05 01']) {
		const reader = new CapsuleReader();
		expect(reader.push(bytes(hex))).toEqual([]);
		expect(reader.whole).toBe(false);
	}
});

test('a datagram longer than UDP has room for is refused before it is waited for', () => {
	expect(() => new CapsuleReader().push(bytes('00 8002 0000'))).toThrow(
		'a DATAGRAM capsule announces 131072 bytes, more than a UDP datagram has',
	);
	expect(() => new CapsuleReader().push(bytes('00 00'))).toThrow('a DATAGRAM capsule ends before its context id does');
});
