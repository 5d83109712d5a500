/**
 * How datagrams lie on the stream of a CONNECT-UDP request: the capsules of RFC 9297 with the payloads of RFC 9298.
 *
 *     type (varint, 0: DATAGRAM)   length (varint)   context id (varint, 0: UDP)   payload of one datagram
 */
import { DatapathError } from '../errors.ts';

const DATAGRAM = 0n;
/** RFC 9298, 4: 0 is the payload of a UDP datagram; others are for those who agreed on them. */
const UDP_CONTEXT = 0n;
/** RFC 9298, 5: all that the length field of a UDP header has room for. The stream of who sends more is reset. */
const MAX_PAYLOAD = 65_527;
const MAX_CONTEXT_SIZE = 8;

/** By the two highest bits of the first byte (RFC 9000, 16): how many bytes, and what they hold. */
const VARINTS = [
	{ size: 1, below: 1n << 6n },
	{ size: 2, below: 1n << 14n },
	{ size: 4, below: 1n << 30n },
	{ size: 8, below: 1n << 62n },
] as const;

/** In the fewest bytes that hold it. Throws a RangeError for what none do: below 0, or 2^62 and more. */
export function encodeVarint(value: number | bigint): Buffer {
	const wanted = BigInt(value);
	const prefix = wanted < 0n ? -1 : VARINTS.findIndex(({ below }) => wanted < below);
	if (prefix < 0) throw new RangeError(`${value} fits no variable-length integer, which holds 0 to 2^62-1`);
	const { size } = VARINTS[prefix]!;
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64BE(wanted << BigInt(64 - 8 * size));
	bytes[0]! |= prefix << 6;
	return bytes.subarray(0, size);
}

/** What begins at `offset`, in whatever size it was sent; null where it is not all here yet. */
export function decodeVarint(bytes: Buffer, offset = 0): { value: bigint; size: number } | null {
	const first = bytes[offset];
	if (first === undefined) return null;
	const { size } = VARINTS[first >> 6]!;
	if (bytes.length < offset + size) return null;
	let value = BigInt(first & 0x3f);
	for (const byte of bytes.subarray(offset + 1, offset + size)) value = (value << 8n) | BigInt(byte);
	return { value, size };
}

/** One datagram as a capsule. Of more than 65,527 bytes there is none: such a payload is the caller's mistake, a RangeError. */
export function encodeDatagram(payload: Buffer): Buffer {
	if (payload.length > MAX_PAYLOAD) throw new RangeError(`${payload.length} bytes are more than a datagram has`);
	const context = encodeVarint(UDP_CONTEXT);
	return Buffer.concat([encodeVarint(DATAGRAM), encodeVarint(context.length + payload.length), context, payload]);
}

/**
 * Takes the stream as it comes, in chunks cut anywhere, and gives the datagrams that are whole, in order. Holds one capsule at most:
 * those of other types are passed over as they come, of any length, as are datagrams of other contexts (RFC 9297, 3.2 and 3.3).
 */
export class CapsuleReader {
	#held: Buffer = Buffer.alloc(0);
	/** what came behind it; joined only once the capsule is whole, not again for every chunk */
	#behind: Buffer[] = [];
	#size = 0;
	/** how much the capsule at the front takes, as far as that is known */
	#needed = 0;
	/** of a capsule that is passed over: what is still to come */
	#toSkip = 0n;

	/** Throws a DatapathError where the stream cannot be read on. */
	push(chunk: Buffer): Buffer[] {
		this.#behind.push(chunk);
		this.#size += chunk.length;
		if (this.#size < this.#needed) return [];
		this.#held = Buffer.concat([this.#held, ...this.#behind]);
		this.#behind = [];
		const payloads = this.#take();
		this.#size = this.#held.length;
		return payloads;
	}

	#take(): Buffer[] {
		const payloads: Buffer[] = [];
		for (;;) {
			this.#skip();
			const capsule = this.#next();
			if (capsule === null) return payloads;
			const context = decodeVarint(capsule);
			if (context === null) throw new DatapathError('a DATAGRAM capsule ends before its context id does');
			if (context.value !== UDP_CONTEXT) continue;
			if (capsule.length - context.size > MAX_PAYLOAD) throw tooLong(capsule.length);
			payloads.push(capsule.subarray(context.size));
		}
	}

	/** To be asked at the end of the stream: a capsule cut short makes all of the message malformed (RFC 9297, 3.3). */
	get whole(): boolean {
		return this.#size === 0 && this.#toSkip === 0n;
	}

	#skip(): void {
		const here = this.#toSkip < BigInt(this.#held.length) ? Number(this.#toSkip) : this.#held.length;
		this.#held = this.#held.subarray(here);
		this.#toSkip -= BigInt(here);
	}

	/** The value of the next DATAGRAM capsule; null until all of it is here. */
	#next(): Buffer | null {
		for (;;) {
			this.#needed = 0;
			const type = decodeVarint(this.#held);
			const length = type && decodeVarint(this.#held, type.size);
			if (!type || !length) return null;
			const begin = type.size + length.size;
			if (type.value !== DATAGRAM) {
				this.#held = this.#held.subarray(begin);
				this.#toSkip = length.value;
				this.#skip();
				if (this.#toSkip > 0n) return null;
				continue;
			}
			if (length.value > MAX_PAYLOAD + MAX_CONTEXT_SIZE) throw tooLong(length.value);
			const end = begin + Number(length.value);
			this.#needed = end;
			if (this.#held.length < end) return null;
			const value = this.#held.subarray(begin, end);
			this.#held = this.#held.subarray(end);
			return value;
		}
	}
}

const tooLong = (length: bigint | number) =>
	new DatapathError(`a DATAGRAM capsule announces ${length} bytes, more than a UDP datagram has`, {
		hint: 'the other end is broken, or is no CONNECT-UDP (RFC 9298) at all',
	});
