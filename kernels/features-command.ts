/** `pathproof kernels features`: what kernels have, asked of real boots, against what `features.json` says they have. */
import { existsSync, writeFileSync } from 'node:fs';
import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { askFeatures, toRecord } from './ask.ts';
import { connectPool } from './client.ts';
import { FEATURE_NAMES, FEATURES, FEATURES_PATH, type FeatureRecord, readFeatures } from './features.ts';
import { startPool } from './pool.ts';
import { resolveKernels } from './pull.ts';
import { compareUpstream } from './versions.ts';

type Asked = FeatureRecord['kernels'][string];

/** A kernel that has what `features.json` says it lacks, or the other way about. */
interface Difference {
	kernel: string;
	feature: string;
	recorded: 'has' | 'lacks' | null;
	found: 'has' | 'lacks';
	/** the kernel's words where it lacks it */
	said: string;
}

export function registerFeatures(kernels: Command): void {
	kernels
		.command('features')
		.description('boot kernels and ask them for their features; exit 1 where kernels/features.json says otherwise')
		.argument('[SELECTOR]', 'as for ls', 'default')
		.option('--accept', 'write what was found into kernels/features.json')
		.option('--json', 'print one JSON document')
		.action(features);
}

async function features(selector: string, { accept, json }: { accept?: boolean; json?: boolean }): Promise<void> {
	const asked = await askKernels((await resolveKernels(selector)).map((kernel) => kernelName(kernel)));
	const record = existsSync(FEATURES_PATH) ? readFeatures() : emptyRecord();
	const differences = Object.entries(asked).flatMap(([id, found]) => differencesOf(id, record.kernels[id], found));
	if (accept) writeFeatures({ ...record, kernels: { ...record.kernels, ...asked } });
	if (json) console.log(JSON.stringify({ schema: 1, kernels: asked, differences }));
	else {
		console.log(renderFeatures(asked));
		for (const id of Object.keys(asked).filter((id) => !record.kernels[id]))
			console.log(`${id} is new to kernels/features.json`);
		for (const { kernel, feature, recorded, found, said } of differences.filter(({ recorded }) => recorded)) {
			console.log(`${kernel} ${found} ${feature}${said && ` (${said})`}; kernels/features.json says ${recorded}`);
		}
		if (differences.length && !accept) console.log('to say so from now on: pathproof kernels features --accept');
	}
	if (differences.length && !accept) process.exitCode = 1;
}

/** One fork after the other: a boot under TCG has two cores' worth of work. */
async function askKernels(names: readonly string[]): Promise<Record<string, Asked>> {
	await using pool = await startPool({ spares: 0 });
	await using client = await connectPool(pool.socket);
	const asked: Record<string, Asked> = {};
	for (const name of names) {
		await using vm = await client.fork({ kernel: name });
		asked[vm.kernel.id] = toRecord(await askFeatures(vm));
	}
	return asked;
}

/** What the pool calls it: an id, or the words that found what is no package of Debian's. */
function kernelName(kernel: { id: string; selector?: string }): string {
	return kernel.selector ?? kernel.id;
}

/** Pure. */
export function differencesOf(kernel: string, recorded: Asked | undefined, found: Asked): Difference[] {
	const verdict = (asked: Asked, feature: string) =>
		asked.has.includes(feature) ? 'has' : feature in asked.lacks ? 'lacks' : null;
	return [...found.has, ...Object.keys(found.lacks)].flatMap((feature) => {
		const before = recorded ? verdict(recorded, feature) : null;
		const now = verdict(found, feature)!;
		return before === now ? [] : [{ kernel, feature, recorded: before, found: now, said: found.lacks[feature] ?? '' }];
	});
}

function writeFeatures({ kernels }: FeatureRecord): void {
	const rows = Object.entries(kernels).sort(([a], [b]) => compareUpstream(a, b));
	const record = { ...emptyRecord(), kernels: Object.fromEntries(rows) };
	writeFileSync(FEATURES_PATH, `${JSON.stringify(record, null, '\t')}\n`);
}

/** The releases that brought the features, and no kernel yet. */
function emptyRecord(): FeatureRecord {
	const cited = FEATURE_NAMES.map((name) => {
		const { since, until, commit } = FEATURES[name];
		return [name, { since, until, commit }];
	});
	return { schema: 1, features: Object.fromEntries(cited), kernels: {} };
}

function renderFeatures(asked: Record<string, Asked>): string {
	const ids = Object.keys(asked);
	const table = new Table({ head: ['feature', 'since', ...ids], style: { head: [], border: [], compact: true } });
	for (const name of FEATURE_NAMES) {
		const marks = ids.map((id) => (asked[id]!.has.includes(name) ? styleText('green', '●') : styleText('dim', '–')));
		table.push([name, FEATURES[name].since, ...marks]);
	}
	return table.toString();
}
