/** What the host sends after the fork: files, and modules that run in the agent's own process. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PathproofError } from '../errors.ts';
import { GUEST_PAYLOAD } from './protocol.ts';

export function install(files: Record<string, string | Uint8Array>): void {
	const made = new Set<string>();
	for (const [name, data] of Object.entries(files)) {
		const path = `${GUEST_PAYLOAD}/${name}`;
		const folder = dirname(path);
		if (!made.has(folder)) mkdirSync(folder, { recursive: true });
		made.add(folder);
		writeFileSync(path, data);
	}
}

export async function call(module: string, name: string, args: unknown[]): Promise<unknown> {
	const exported = await import(`${GUEST_PAYLOAD}/${module}`);
	if (typeof exported[name] !== 'function') {
		throw new PathproofError(`${module} exports no function ${name}`, { stage: 'usage' });
	}
	return exported[name](...args);
}
