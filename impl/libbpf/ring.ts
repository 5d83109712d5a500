/**
 * A ring buffer, read when asked: no thread, no wait. Mapped and read here and not by libbpf, whose callback for each record costs
 * Node many times what the record does.
 *
 *     consumer page (written here) │ producer page │ data │ the same data again
 *
 * A record is a header of 8 bytes, whose first u32 is its length and two flags, and its data; the next begins at a multiple of 8.
 * The second mapping of the data makes any run of records one piece. Documentation/bpf/ringbuf.rst
 */
import koffi from 'koffi';
import { DatapathError } from '../errors.ts';
import type { BpfMap } from './map.ts';
import { check, checkPointer, native } from './native.ts';

const PAGE = 4096;
/** In front of each record, whose data is padded to a multiple of it. */
const HEADER = 8;
const BUSY = 0x8000_0000;
const DISCARDED = 0x4000_0000;
/** Bytes taken before their room is given back. */
const CHUNK = 2 ** 20;
const PROT = { read: 1, write: 2 } as const;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

export class RingBuffer implements Disposable {
	readonly #take: (records: Uint8Array) => void;
	readonly #size: number;
	readonly #mappings: { address: bigint; size: number }[];
	readonly #consumer: BigUint64Array;
	readonly #producer: BigUint64Array;
	readonly #headers: Uint32Array;
	readonly #data: Uint8Array;

	/**
	 * `size` as the map has it, in bytes. `take` is given records, each behind its header, where they lie: they are written over
	 * once it returns. For programs that discard no record.
	 */
	constructor(map: BpfMap, size: number, take: (records: Uint8Array) => void) {
		this.#take = take;
		this.#size = size;
		const consumer = mapped(map, PAGE, PROT.read | PROT.write, 0);
		const rest = mapped(map, PAGE + 2 * size, PROT.read, PAGE);
		this.#mappings = [consumer, rest];
		this.#consumer = new BigUint64Array(koffi.view(consumer.address, PAGE), 0, 1);
		const readOnly = koffi.view(rest.address, rest.size);
		this.#producer = new BigUint64Array(readOnly, 0, 1);
		this.#headers = new Uint32Array(readOnly, PAGE);
		this.#data = new Uint8Array(readOnly, PAGE);
	}

	/** Takes all records that are there. */
	consume(): void {
		for (;;) {
			const position = this.#consumer[0]!;
			const there = Math.min(CHUNK, Number(this.#producer[0]! - position));
			const start = Number(position % BigInt(this.#size));
			const end = this.#endOfWritten(start, start + there);
			if (end === start) return;
			this.#take(this.#data.subarray(start, end));
			this.#consumer[0] = position + BigInt(end - start);
		}
	}

	/** Up to the first record that a program on another CPU is still writing. */
	#endOfWritten(start: number, limit: number): number {
		let at = start;
		while (at < limit) {
			const header = this.#headers[at / 4]!;
			if (header >= BUSY) break;
			at += (HEADER + (header & (DISCARDED - 1)) + 7) & ~7;
		}
		return at;
	}

	[Symbol.dispose](): void {
		for (const { address, size } of this.#mappings.splice(0))
			check(native.munmap(address, size), 'unmap a ring buffer');
	}
}

function mapped(map: BpfMap, size: number, protection: number, offset: number): { address: bigint; size: number } {
	const what = `map the ring buffer ${map.name}`;
	const address = checkPointer(native.mmap(null, size, protection, MAP_SHARED, map.fd, offset), what);
	if (address === MAP_FAILED) throw new DatapathError(`${what}: mmap fails`, { hint: 'its size is that of the map?' });
	return { address, size };
}
