/** A ring buffer, read when asked: no thread, no wait. */
import koffi from 'koffi';
import type { BpfMap } from './map.ts';
import { check, checkPointer, native } from './native.ts';

export class RingBuffer implements Disposable {
	readonly #callback: bigint;
	#ring: bigint | null;

	/** `take` gets a copy of each record. */
	constructor(map: BpfMap, take: (record: Buffer) => void) {
		this.#callback = koffi.register((_context: bigint | null, data: bigint, size: number | bigint) => {
			// the record's place in the ring is written over once this returns
			take(Buffer.from(new Uint8Array(koffi.view(data, Number(size)))));
			return 0;
		}, 'ring_sample *');
		this.#ring = checkPointer(
			native.ring_buffer__new(map.fd, this.#callback, null, null),
			`read the ring buffer ${map.name}`,
		);
	}

	/** Takes all records that are there and answers how many. */
	consume(): number {
		return this.#ring ? check(native.ring_buffer__consume(this.#ring), 'read a ring buffer') : 0;
	}

	[Symbol.dispose](): void {
		if (!this.#ring) return;
		native.ring_buffer__free(this.#ring);
		koffi.unregister(this.#callback);
		this.#ring = null;
	}
}
