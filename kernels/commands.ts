/** `pathproof kernels`: what kernels there are, fetch them, move the lock. */
import { styleText } from 'node:util';
import Table, { type HorizontalAlignment } from 'cli-table3';
import type { Command } from 'commander';
import PQueue from 'p-queue';
import { type Catalogue, readCatalogue } from './catalogue.ts';
import { stableSuites } from './debian.ts';
import { formatBytes } from './disk.ts';
import { PathproofError } from './errors.ts';
import { registerFeatures } from './features-command.ts';
import type { CatalogueEntry, Kernel } from './kernel.ts';
import { LOCK_PATH, type Lock, type Move, moveLock, readLock, writeLock } from './lock.ts';
import { getKernel, isCached, resolveKernels } from './pull.ts';
import { newestPerSeries } from './versions.ts';

/** Fetches at a time: the second is verified and unpacked while the first still comes. */
const AT_ONCE = 2;
const SELECTOR_HELP =
	'6.12, 6.12.95, >=6.6, default, all, every, a comma list of those; with -generic at the end, that flavour';

interface Row {
	kernel: CatalogueEntry | Kernel;
	/** bytes to fetch; null for a build tree */
	size: number | null;
	cached: boolean;
	suite: string | null;
	/** what pins it: `default`, `all`, or nothing */
	locked: 'default' | 'all' | null;
	/** a newer version of its series that the archive has */
	newer: string | null;
}

export function register(program: Command): Command {
	const kernels = program.command('kernels').description('The kernels that can be had: list, fetch, pin.');
	kernels
		.command('ls', { isDefault: true })
		.description('list kernels: of each series the pinned one, or those that SELECTOR names')
		.argument('[SELECTOR]', SELECTOR_HELP)
		.option('--json', 'print one JSON document')
		.action(ls);
	kernels
		.command('pull')
		.description('fetch and verify kernels into the cache')
		.argument('[SELECTOR]', SELECTOR_HELP, 'default')
		.option('--json', 'print one JSON document')
		.action(pull);
	kernels
		.command('update')
		.description('move the lock to the newest kernel of each series')
		.option('--json', 'print one JSON document')
		.action(update);
	registerFeatures(kernels);
	return kernels;
}

async function ls(selector: string | undefined, { json }: { json?: boolean }): Promise<void> {
	const lock = readLock();
	const catalogue = await catalogueOrWhy();
	const rows = (await resolveKernels(selector ?? 'all')).map((kernel) => toRow(kernel, lock, catalogue.kernels));
	if (json)
		return print({
			schema: 1,
			kernels: rows.map(toDocument),
			passedOver: catalogue.problems,
			fetched: catalogue.fetched,
		});
	console.log(renderRows(rows));
	for (const { suite, problem } of catalogue.problems)
		console.log(styleText('dim', `${suite} is passed over: ${problem}`));
	if (!selector)
		console.log(
			styleText('dim', `Of each series the pinned kernel; ● are the defaults. pathproof kernels ls every lists all.`),
		);
	if (rows.some(({ newer }) => newer)) console.log('Newer ones are there: pathproof kernels update');
}

async function pull(selector: string, { json }: { json?: boolean }): Promise<void> {
	const queue = new PQueue({ concurrency: AT_ONCE });
	const wanted = await resolveKernels(selector);
	// One that cannot be had does not keep the others away.
	const settled = await Promise.allSettled(wanted.map((kernel) => queue.add(() => getKernel(kernel))));
	const pulled = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
	const failed = settled.flatMap((result, at) =>
		result.status === 'rejected' ? [{ id: wanted[at]!.id, error: result.reason }] : [],
	);
	if (failed.length > 0) throw failed.length === 1 ? failed[0]!.error : allOf(failed);
	if (json) return print({ schema: 1, kernels: pulled });
	for (const { id, tier, vmlinuz } of pulled) console.log(`linux ${id}  ${tier}  ${styleText('dim', vmlinuz)}`);
}

async function update({ json }: { json?: boolean }): Promise<void> {
	const old = readLock();
	const { kernels, problems } = await readCatalogue('always', stableSuites());
	const { lock, moves } = moveLock(old, kernels, new Date().toISOString().slice(0, 10));
	if (moves.length > 0) writeLock(lock);
	if (json) return print({ schema: 1, lock: LOCK_PATH, moves, passedOver: problems });
	console.log(moves.length > 0 ? renderMoves(moves) : `Nothing newer than the lock of ${old.date}.`);
	for (const { suite, problem } of problems) console.log(styleText('dim', `${suite} is passed over: ${problem}`));
	if (moves.length > 0) console.log('What the new kernels have: pathproof kernels features --accept');
}

/** The lock is worth listing without the catalogue: no network, no lists yet. */
async function catalogueOrWhy(): Promise<Catalogue> {
	try {
		return await readCatalogue();
	} catch (error) {
		if (!(error instanceof PathproofError) || error.stage === 'usage') throw error;
		process.stderr.write(`${error.shortMessage}: only what the lock pins is listed\n`);
		return { kernels: [], problems: [], fetched: null };
	}
}

function toRow(kernel: CatalogueEntry | Kernel, lock: Lock, catalogue: CatalogueEntry[]): Row {
	if ('vmlinuz' in kernel) return { kernel, size: null, cached: true, suite: null, locked: null, newer: null };
	const pinned = lock.kernels.find(({ id }) => id === kernel.id);
	const stable = catalogue.filter(({ suite }) => stableSuites().includes(suite));
	const newest = newestPerSeries(stable).find(
		({ series, flavour }) => series === kernel.series && flavour === kernel.flavour,
	);
	return {
		kernel,
		size: kernel.packages.reduce((sum, { size }) => sum + size, 0),
		cached: isCached(kernel),
		suite: kernel.suite,
		locked: lock.default.includes(kernel.id) ? 'default' : lock.all.includes(kernel.id) ? 'all' : null,
		newer: pinned && newest && newest.version !== kernel.version ? newest.version : null,
	};
}

function allOf(failed: { id: string; error: unknown }[]): PathproofError {
	const { error } = failed[0]!;
	const { stage, hint, shortMessage } =
		error instanceof PathproofError ? error : { stage: 'fetch' as const, hint: '', shortMessage: String(error) };
	return new PathproofError(
		`${failed.length} kernels could not be had (${failed.map(({ id }) => id).join(' ')}); the first: ${shortMessage}`,
		{
			stage,
			hint,
			cause: new AggregateError(failed.map((one) => one.error)),
		},
	);
}

function renderRows(rows: Row[]): string {
	const table = newTable(['series', 'version', 'flavour', 'tier', 'size', 'cached', 'suite', ''], { 4: 'right' });
	for (const { kernel, size, cached, suite, locked, newer } of rows) {
		table.push([
			kernel.series,
			`${kernel.version}${locked === 'default' ? styleText('cyan', ' ●') : ''}`,
			kernel.flavour,
			kernel.tier === 'full' ? 'full' : styleText('yellow', 'image only'),
			size === null ? '' : formatBytes(size),
			cached ? styleText('green', '✓') : '',
			suite ?? '',
			newer ? styleText('yellow', `${newer} is newer`) : '',
		]);
	}
	return table.toString();
}

function renderMoves(moves: Move[]): string {
	const table = newTable(['series', 'flavour', 'from', 'to']);
	for (const { series, flavour, from, to, rebuilt } of moves)
		table.push([series, flavour, from ?? styleText('green', 'new'), rebuilt ? `${to} (other packages)` : to]);
	return table.toString();
}

/** Columns and no lines; the library's own colours do not ask whether anybody sees them. */
function newTable(head: string[], aligns: Record<number, HorizontalAlignment> = {}) {
	const lines = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'];
	const edges = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
	return new Table({
		head: head.map((name) => styleText('bold', name)),
		colAligns: head.map((_, column) => aligns[column] ?? 'left'),
		chars: { ...Object.fromEntries([...lines, ...edges].map((name) => [name, ''])), middle: ' ' },
		style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
	});
}

function toDocument({ kernel, ...rest }: Row): object {
	const { id, series, version, release, flavour, tier } = kernel;
	return { id, series, version, release, flavour, tier, ...rest };
}

function print(document: object): void {
	console.log(JSON.stringify(document));
}
