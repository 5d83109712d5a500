/** A program of fixtures/workloads, as it comes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { gunzipSync } from 'node:zlib';

export function unpackProgram(path: string, packed: Uint8Array): void {
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, gunzipSync(packed), { mode: 0o755 });
}
