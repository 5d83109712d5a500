/** The package lists of Debian's archive, fetched and verified by apt under a configuration of its own, kept in `CACHE/apt`. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { execa } from 'execa';
import { cacheDir, keyOf } from './cache.ts';
import { ARCHITECTURE, debianMirrors, writeAptConfig } from './debian.ts';
import { diskError, makeDirectory } from './disk.ts';
import { PathproofError } from './errors.ts';
import { lock } from './flock.ts';
import { progress } from './progress.ts';

/** `daily`: the lists are fetched anew when they are older than a day. */
export type Refresh = 'never' | 'daily' | 'always';

export interface SuiteList {
	suite: string;
	/** absolute path of the suite's Packages file, compressed as apt keeps it; null where it was never had */
	packages: string | null;
	/** why the last update passed the suite over: `404  Not Found`; null where it did not */
	problem: string | null;
}

export interface Lists {
	suites: SuiteList[];
	/** when they were last fetched; null: never */
	fetched: Date | null;
}

interface UpdateRecord {
	/** ISO 8601 */
	fetched: string;
	problems: Record<string, string>;
}

const APT_HELPER = '/usr/lib/apt/apt-helper';
const DAY_MS = 24 * 3600 * 1000;

/** This process's updates by directory: who is without a network is told so once. */
const updates = new Map<string, Promise<UpdateRecord | null>>();

/**
 * The lists of `suites`. A suite that is expired or cannot be reached is passed over and says why. Without a network, or with a
 * cache that is read-only, the last lists serve. Throws stage `fetch` where there are none at all.
 */
export async function packageLists(suites: readonly string[], refresh: Refresh): Promise<Lists> {
	const dir = join(cacheDir(), 'apt', keyOf(suites, await debianMirrors(), ARCHITECTURE));
	const last = readRecord(dir);
	const due = !last || refresh === 'always' || (refresh === 'daily' && Date.now() - Date.parse(last.fetched) > DAY_MS);
	if (due && refresh !== 'never' && (refresh === 'always' || !updates.has(dir)))
		updates.set(dir, update(dir, suites, last));
	const record = (await updates.get(dir)) ?? last;
	const found = suites.map((suite) => ({
		suite,
		packages: findList(dir, suite),
		problem: record?.problems[suite] ?? null,
	}));
	if (found.every(({ packages }) => packages === null)) throw noLists(found);
	return { suites: found, fetched: record ? new Date(record.fetched) : null };
}

/** The text of a Packages file, whatever it is compressed with. */
export async function readList(path: string): Promise<string> {
	const { stdout } = await execa(APT_HELPER, ['cat-file', path], { maxBuffer: 2 ** 30 });
	return stdout;
}

/** Pure: which suites an `apt-get update` passed over, and why, from what it said on stderr. */
export function suiteProblems(stderr: string): Record<string, string> {
	const problems: Record<string, string> = {};
	for (const line of stderr.split('\n')) {
		for (const [pattern, reason] of COMPLAINTS) {
			const match = pattern.exec(line);
			if (match) problems[match[1]!] ??= reason || match[2]!.trim();
		}
	}
	return problems;
}

/** How apt words it, 2.x and 3.x: the suite first; then the reason, where the wording is not the reason itself. */
const COMPLAINTS: [RegExp, string][] = [
	[/^(?:E|W|Error|Warning): Failed to fetch \S+\/dists\/([^/]+)\/\S+\s+(.*)/, ''],
	[
		/^(?:E|W|Error|Warning): The repository '\S+ (\S+) (?:In)?Release' (?:does not have|no longer has) a Release file/,
		'not on this mirror',
	],
	[/^(?:E|W|Error|Warning): Release file for \S+\/dists\/([^/]+)\/\S+ is (expired|not valid yet) /, ''],
	[/^(?:E|W|Error|Warning): GPG error: \S+ (\S+) (?:In)?Release: (.*)/, ''],
	[/^(?:E|W|Error|Warning): The repository '\S+ (\S+) (?:In)?Release' is not signed/, 'not signed'],
];

async function update(dir: string, suites: readonly string[], last: UpdateRecord | null): Promise<UpdateRecord | null> {
	try {
		makeDirectory(dir);
		using _updating = await lock(join(dir, 'update.lock'), 'exclusive', { what: "Debian's package lists" });
		dropOldLists(dirname(dir), basename(dir));
		const meanwhile = readRecord(dir);
		if (meanwhile && meanwhile.fetched !== last?.fetched) return meanwhile;
		return await aptGetUpdate(dir, suites, last);
	} catch (error) {
		const told = diskError(error, cacheDir());
		if (!last || !(told instanceof PathproofError) || told.stage !== 'setup') throw told;
		process.stderr.write(`${told.shortMessage}; going on with the package lists of ${day(last.fetched)}\n`);
		return last;
	}
}

async function aptGetUpdate(
	dir: string,
	suites: readonly string[],
	last: UpdateRecord | null,
): Promise<UpdateRecord | null> {
	const APT_CONFIG = await writeAptConfig(dir, { suites });
	const task = progress.start("Debian's package lists");
	const { stderr, exitCode } = await execa(
		'apt-get',
		['update', '-q', '-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=20'],
		{
			env: { APT_CONFIG, LC_ALL: 'C' },
			reject: false,
		},
	);
	const problems = suiteProblems(stderr);
	if (exitCode !== 0 && Object.keys(problems).length === 0) {
		task.failed();
		throw diskError(
			Object.assign(new PathproofError(`apt-get update failed: ${stderr.trim()}`, { stage: 'fetch' }), { stderr }),
			dir,
		);
	}
	if (suites.every((suite) => problems[suite])) {
		if (last) task.done(`no network: the lists of ${day(last.fetched)} serve`);
		else task.failed();
		return last ?? { fetched: new Date().toISOString(), problems };
	}
	const passedOver = Object.entries(problems).map(([suite, why]) => `${suite} passed over (${why})`);
	task.done([`${suites.length - passedOver.length} suites`, ...passedOver].join(', '));
	const record = { fetched: new Date().toISOString(), problems };
	writeFileSync(join(dir, 'updated.json'), JSON.stringify(record));
	return record;
}

/** Lists of other mirrors or suites, that nobody has asked for in a month: 60 to 100 MB each. */
function dropOldLists(apt: string, own: string): void {
	for (const name of readdirSync(apt).filter((candidate) => candidate !== own)) {
		const record = readRecord(join(apt, name));
		if (record && Date.now() - Date.parse(record.fetched) > 30 * DAY_MS)
			rmSync(join(apt, name), { recursive: true, force: true });
	}
}

function readRecord(dir: string): UpdateRecord | null {
	const path = join(dir, 'updated.json');
	return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as UpdateRecord) : null;
}

/** apt names a list by its URI with `_` for `/`. */
function findList(dir: string, suite: string): string | null {
	const lists = join(dir, 'lists');
	if (!statSync(lists, { throwIfNoEntry: false })) return null;
	const end = new RegExp(`_dists_${suite}_main_binary-${ARCHITECTURE}_Packages(\\.[a-z0-9]+)?$`);
	const name = readdirSync(lists).find((candidate) => end.test(candidate));
	return name ? join(lists, name) : null;
}

function noLists(suites: SuiteList[]): PathproofError {
	const reasons = [...new Set(suites.map(({ problem }) => problem).filter(Boolean))];
	return new PathproofError(`Debian's package lists cannot be had: ${reasons.join('; ') || 'never fetched'}`, {
		stage: 'fetch',
		hint: 'look at the network and the mirrors (pathproof doctor), or set PATHPROOF_DEBIAN_MIRROR',
	});
}

function day(iso: string): string {
	return iso.slice(0, 10);
}
