/** Asks a running guest for its features: `kernels/probes/` run in its agent. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FeatureName, FeatureRecord } from './features.ts';
import { stripTypes } from './initramfs-content.ts';
import type { Finding } from './probes/probes.ts';
import type { Remote } from './vm.ts';

const PROBES = 'kernels/probes';

/** What a guest must let us do; every lent fork does. */
export interface Askable {
	install(files: Record<string, string | Uint8Array>): Promise<void>;
	use<M>(module: string): Remote<M>;
}

/** The probes as they run in the guest, by path in its payload. */
export function probePayload(): Record<string, string> {
	const folder = join(import.meta.dirname, 'probes');
	const modules = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
	return Object.fromEntries(
		modules.map((name) => [`${PROBES}/${name}`, stripTypes(readFileSync(join(folder, name), 'utf8'))]),
	);
}

/** All features without `names`. Each costs up to half a second under TCG; the guest is as before afterwards. */
export async function askFeatures(guest: Askable, names?: readonly FeatureName[]): Promise<Record<string, Finding>> {
	await guest.install(probePayload());
	return guest.use<typeof import('./probes/probes.ts')>(`${PROBES}/probes.ts`).probeFeatures(names);
}

/** Findings as `features.json` keeps them. */
export function toRecord(found: Record<string, Finding>): FeatureRecord['kernels'][string] {
	const entries = Object.entries(found);
	return {
		has: entries.filter(([, { has }]) => has).map(([name]) => name),
		lacks: Object.fromEntries(entries.filter(([, { has }]) => !has).map(([name, { said }]) => [name, said])),
	};
}
