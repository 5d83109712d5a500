/** A BPF map, by its file descriptor. Keys and values are bytes in the layout of the C source. */
import { check, native } from './native.ts';

const ENOENT = 2;

export class BpfMap {
	readonly name: string;
	readonly fd: number;
	readonly #keySize: number;
	readonly #valueSize: number;

	/** Sizes in bytes, as `keys` and `lookup` need them. */
	constructor(name: string, fd: number, keySize: number, valueSize: number) {
		this.name = name;
		this.fd = fd;
		this.#keySize = keySize;
		this.#valueSize = valueSize;
	}

	update(key: Uint8Array, value: Uint8Array): void {
		check(native.bpf_map_update_elem(this.fd, key, value, 0), `map ${this.name}: update`);
	}

	/** null where there is no such key */
	lookup(key: Uint8Array): Buffer | null {
		const value = Buffer.alloc(this.#valueSize);
		const status: number = native.bpf_map_lookup_elem(this.fd, key, value);
		if (status === -ENOENT) return null;
		check(status, `map ${this.name}: lookup`);
		return value;
	}

	/** In no order; what is added or deleted while this runs may be missed. */
	keys(): Buffer[] {
		const found: Buffer[] = [];
		for (;;) {
			const next = Buffer.alloc(this.#keySize);
			const status: number = native.bpf_map_get_next_key(this.fd, found.at(-1) ?? null, next);
			if (status === -ENOENT) return found;
			check(status, `map ${this.name}: next key`);
			found.push(next);
		}
	}

	/** Answers whether there was such a key. */
	delete(key: Uint8Array): boolean {
		const status: number = native.bpf_map_delete_elem(this.fd, key);
		if (status === -ENOENT) return false;
		check(status, `map ${this.name}: delete`);
		return true;
	}
}

/** The key or value of an array map: a u32 of this machine's byte order. */
export function u32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}
