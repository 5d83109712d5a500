/** What `default`, `all` and a plain series mean: pinned by version and SHA-256 in lock.json, moved by `kernels update`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { diskError } from './disk.ts';
import { PathproofError } from './errors.ts';
import type { CatalogueEntry } from './kernel.ts';
import { byAge, compareUpstream, newestPerSeries } from './versions.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const lockSchema = z.strictObject({
	/** the day it was made: where a snapshot archive is asked for what the mirror no longer has */
	date: z.iso.date(),
	default: z.array(z.string()).min(1),
	all: z.array(z.string()).min(1),
	kernels: z.array(
		z.strictObject({
			id: z.string(),
			series: z.string(),
			version: z.string(),
			release: z.string(),
			flavour: z.enum(['cloud', 'generic']),
			tier: z.enum(['full', 'image']),
			suite: z.string(),
			packages: z
				.array(
					z.strictObject({
						name: z.string(),
						version: z.string(),
						suite: z.string(),
						size: z.int().positive(),
						sha256,
						filename: z.string(),
					}),
				)
				.min(1),
		}),
	),
});

/** `default` and `all` are ids of `kernels`; which holds the newest of each series in both flavours. */
export type Lock = z.infer<typeof lockSchema>;

/** One series whose pinned kernel moved; null where it was not there before. */
export interface Move {
	flavour: CatalogueEntry['flavour'];
	series: string;
	from: string | null;
	to: string;
	/** the same version, other packages: rebuilt, or its modules came or went */
	rebuilt: boolean;
}

/** The series that `default` means when the lock is made from nothing; afterwards it is the lock that says. */
const DEFAULT_SERIES = ['6.1', '6.12', '7.3'];

/** The formatter's lineWidth. */
const LINE_WIDTH = 120;

export const LOCK_PATH = fileURLToPath(new URL('lock.json', import.meta.url));

export function readLock(path = LOCK_PATH): Lock {
	return parseLock(readFileSync(path, 'utf8'), path);
}

/** Pure. Throws stage `usage` where the text is no lock, naming the first thing that is wrong. */
export function parseLock(text: string, path: string): Lock {
	const hint = 'git checkout kernels/lock.json, or npx pathproof kernels update';
	let data: unknown;
	try {
		data = JSON.parse(text);
	} catch (cause) {
		throw new PathproofError(`${path} is no JSON`, { stage: 'usage', hint, cause });
	}
	const parsed = lockSchema.safeParse(data);
	if (!parsed.success)
		throw new PathproofError(`${path} is no lock: ${z.prettifyError(parsed.error)}`, {
			stage: 'usage',
			hint,
			cause: parsed.error,
		});
	const ids = new Set(parsed.data.kernels.map(({ id }) => id));
	const stray = [...parsed.data.default, ...parsed.data.all].find((id) => !ids.has(id));
	if (stray) throw new PathproofError(`${path} names ${stray} and does not pin it`, { stage: 'usage', hint });
	return parsed.data;
}

export function writeLock(lock: Lock, path = LOCK_PATH): void {
	try {
		writeFileSync(path, formatLock(lock));
	} catch (error) {
		throw diskError(error, path);
	}
}

/** Pure: JSON as the repository's formatter wants it: a list of names in one line where it fits. */
export function formatLock(lock: Lock): string {
	const text = `${JSON.stringify(lock, null, '\t')}\n`;
	return text.replace(/^(\t+"\w+": )\[\n((?:\t+"[^"]*",?\n)+)\t+\]/gm, (list, name: string, lines: string) => {
		const inline = `${name}[${lines.trim().replace(/\n\t+/g, ' ')}]`;
		return inline.length < LINE_WIDTH ? inline : list;
	});
}

/**
 * Pure: the lock moved to the newest of what is in the catalogue. A series that the archive no longer has stays as it was
 * pinned; a new one joins `all`; `default` follows its series.
 */
export function moveLock(old: Lock | null, catalogue: CatalogueEntry[], date: string): { lock: Lock; moves: Move[] } {
	const kernels = new Map((old?.kernels ?? []).map((kernel) => [slot(kernel), kernel]));
	const moves: Move[] = [];
	for (const kernel of newestPerSeries(catalogue)) {
		const before = kernels.get(slot(kernel));
		if (before && sums(before) === sums(kernel)) continue;
		kernels.set(slot(kernel), kernel);
		const { flavour, series, version: to } = kernel;
		moves.push({ flavour, series, from: before?.version ?? null, to, rebuilt: before?.version === to });
	}
	const sorted = [...kernels.values()].sort(byAge);
	const cloud = sorted.filter(({ flavour }) => flavour === 'cloud');
	const defaults = old
		? old.default.map((id) => old.kernels.find((kernel) => kernel.id === id)!.series)
		: DEFAULT_SERIES;
	const lock = {
		date: moves.length > 0 || !old ? date : old.date,
		default: cloud.filter(({ series }) => defaults.includes(series)).map(({ id }) => id),
		all: cloud.map(({ id }) => id),
		kernels: sorted,
	};
	return { lock, moves: moves.sort((a, b) => compareUpstream(a.series, b.series)) };
}

function slot({ series, flavour }: CatalogueEntry): string {
	return `${series} ${flavour}`;
}

function sums({ packages }: CatalogueEntry): string {
	return packages.map((one) => one.sha256).join(' ');
}
