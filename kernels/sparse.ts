/** Files that are mostly holes, as a guest's memory is: read, summed up and copied by what they hold. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import koffi from 'koffi';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const CHUNK = 4 * 2 ** 20;
const PAGE = Buffer.alloc(4096);

const lseek = koffi.load('libc.so.6').func('long lseek(int fd, long offset, int whence)');

/** The stretches of a file that hold data, as [from, to) in bytes. */
export function* extents(fd: number): Generator<[from: number, to: number]> {
	for (let at = 0; ; ) {
		const from = Number(lseek(fd, at, SEEK_DATA));
		if (from < 0) return; // ENXIO: only a hole is left
		const to = Number(lseek(fd, from, SEEK_HOLE));
		yield [from, to];
		at = to;
	}
}

/**
 * SHA-256 (hex) over a file's pages that are not all zero, and where they lie. Holes are not read; that a file system turns a
 * hole into a page of zeros, or back, changes nothing.
 */
export async function digestOf(path: string): Promise<string> {
	await using file = await open(path);
	const hash = createHash('sha256');
	const buffer = Buffer.allocUnsafe(CHUNK);
	hash.update(`${(await file.stat()).size}`);
	for (const [from, to] of [...extents(file.fd)]) {
		for await (const [at, bytes] of chunks(file, buffer, from, to)) {
			for (let page = 0; page < bytes.length; page += PAGE.length) {
				const content = bytes.subarray(page, page + PAGE.length);
				if (!content.equals(PAGE)) hash.update(`@${at + page}:`).update(content);
			}
		}
	}
	return hash.digest('hex');
}

/** Copies what a file holds and leaves its holes holes. */
export async function copySparse(source: string, destination: string): Promise<void> {
	await using from = await open(source);
	await using to = await open(destination, 'wx');
	await to.truncate((await from.stat()).size);
	const buffer = Buffer.allocUnsafe(CHUNK);
	for (const [start, end] of [...extents(from.fd)]) {
		for await (const [at, bytes] of chunks(from, buffer, start, end)) await to.write(bytes, 0, bytes.length, at);
	}
}

async function* chunks(file: FileHandle, buffer: Buffer, from: number, to: number): AsyncGenerator<[number, Buffer]> {
	for (let at = from; at < to; ) {
		const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK, to - at), at);
		if (bytesRead === 0) return;
		yield [at, buffer.subarray(0, bytesRead)];
		at += bytesRead;
	}
}
