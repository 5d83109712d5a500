/** Every kernel that Debian's archive still has: which packages make one, and which of several builds of one version to take. */
import { statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageLists, type Refresh, readList, type SuiteList } from './apt.ts';
import { entry, keyOf } from './cache.ts';
import { ARCHITECTURE, defaultSuites, SUITES } from './debian.ts';
import { PathproofError } from './errors.ts';
import type { CatalogueEntry, DebianPackage, Flavour } from './kernel.ts';
import { byAge, compareDebian, compareUpstream, seriesOf } from './versions.ts';

export interface Catalogue {
	/** oldest first; the cloud flavour before the generic one */
	kernels: CatalogueEntry[];
	/** suites that were passed over, and why */
	problems: { suite: string; problem: string }[];
	/** when the lists were fetched */
	fetched: Date | null;
}

interface Layout {
	/** first series that is packaged so */
	since: string;
	image: string;
	/** null: in the image's package */
	modules: string | null;
}

/** How Debian packages a kernel, newest first. */
const LAYOUTS: readonly Layout[] = [
	// linux 6.19-1~exp1: "Split linux-image packages": linux-image only depends on the parts.
	{ since: '6.19', image: 'linux-binary', modules: 'linux-modules' },
	{ since: '0.0', image: 'linux-image', modules: null },
];

/** The suite whose build of a series is that series' own; its other builds are backports of it. */
const HOMES: Record<string, string> = {
	// bullseye-security also has 6.1.0-0.deb11.N, bookworm-backports 6.12.N+deb12: the same source, built for another release.
	'5.10': 'bullseye',
	'6.1': 'bookworm',
	'6.12': 'trixie',
};

/** Bumped when what is read from the lists, or how it is told, changes. */
const FORMAT = 1;

/** All kernels in the lists of `suites`. Throws stage `fetch` where no list can be had. */
export async function readCatalogue(
	refresh: Refresh = 'daily',
	suites: readonly string[] = defaultSuites(),
): Promise<Catalogue> {
	const lists = await packageLists(suites, refresh);
	const present = lists.suites.filter((list) => list.packages !== null);
	return {
		kernels: catalogueOf(await readPackages(present)),
		problems: lists.suites.flatMap(({ suite, problem }) => (problem ? [{ suite, problem }] : [])),
		fetched: lists.fetched,
	};
}

/** The kernel packages of the lists. Unpacking and reading 180 MB of text takes a second: kept in the cache by the lists' stamps. */
async function readPackages(lists: SuiteList[]): Promise<DebianPackage[]> {
	const stamps = lists.map(({ suite, packages }) => {
		const { size, mtimeMs } = statSync(packages!);
		return [suite, packages, size, mtimeMs];
	});
	const read = async () =>
		(
			await Promise.all(lists.map(async ({ suite, packages }) => parsePackages(await readList(packages!), suite)))
		).flat();
	try {
		using kept = await entry('catalogue', keyOf(FORMAT, ARCHITECTURE, stamps), async (dir) => {
			await writeFile(join(dir, 'packages.json'), JSON.stringify(await read()));
		});
		return JSON.parse(await readFile(join(kept.dir, 'packages.json'), 'utf8'));
	} catch (error) {
		// A cache that cannot be written only makes this slower.
		if (error instanceof PathproofError && error.stage === 'setup') return await read();
		throw error;
	}
}

/** Pure: the packages of a Packages file whose names can be a kernel's. */
export function parsePackages(text: string, suite: string): DebianPackage[] {
	const packages: DebianPackage[] = [];
	for (const match of text.matchAll(/^Package: (linux-(?:image|binary|modules)-\d.*)$/gm)) {
		if (!parseName(match[1]!)) continue;
		const end = text.indexOf('\n\n', match.index);
		const fields = text.slice(match.index, end < 0 ? undefined : end);
		const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(fields)?.[1] ?? '';
		packages.push({
			name: match[1]!,
			version: field('Version'),
			suite,
			size: Number(field('Size')),
			sha256: field('SHA256'),
			filename: field('Filename'),
		});
	}
	return packages;
}

/**
 * Pure: what a package's name says: `linux-image-6.12.117+deb13-cloud-amd64`. Null for what is no kernel's part: `-dbg`, `-unsigned`,
 * `-rt`, templates, and the metapackages, whose release is a series (`linux-image-6.12-cloud-amd64`).
 */
export function parseName(name: string): { part: string; release: string; flavour: Flavour } | null {
	const match =
		/^(linux-(?:image|binary|modules))-((?:\d+\.\d+\.\d+|\d+\.\d+-rc\d+)[^-]*(?:-\d[\d.a-z]*)?-(cloud-)?([a-z0-9]+))$/.exec(
			name,
		);
	if (!match || match[4] !== ARCHITECTURE) return null;
	return { part: match[1]!, release: match[2]!, flavour: match[3] ? 'cloud' : 'generic' };
}

/** Pure: kernels from packages: one for each upstream version and flavour, oldest first. */
export function catalogueOf(packages: DebianPackage[]): CatalogueEntry[] {
	const builds = packages.flatMap((image) => toBuild(image, packages) ?? []);
	const best = new Map<string, CatalogueEntry>();
	for (const build of builds) {
		const rival = best.get(build.id);
		if (!rival || preference(build, rival) > 0) best.set(build.id, build);
	}
	return [...best.values()].sort(byAge);
}

/** A kernel from the package that holds its image; null where this package holds none. */
function toBuild(image: DebianPackage, packages: DebianPackage[]): CatalogueEntry | null {
	const { part, release, flavour } = parseName(image.name)!;
	const version = upstreamOf(image.version);
	const series = seriesOf(version);
	const layout = LAYOUTS.find(({ since }) => compareUpstream(series, since) >= 0)!;
	if (part !== layout.image) return null;
	const modules =
		layout.modules === null
			? undefined
			: packages.find(
					(one) =>
						one.name === `${layout.modules}-${release}` && one.version === image.version && one.suite === image.suite,
				);
	return {
		id: flavour === 'cloud' ? version : `${version}-${flavour}`,
		series,
		version,
		release,
		flavour,
		tier: layout.modules === null || modules ? 'full' : 'image',
		suite: image.suite,
		packages: modules ? [image, modules] : [image],
	};
}

/** `6.12.117` of `6.12.117-1`, `7.3.4` of `7.3.4-1~bpo13+1`, `7.4-rc2` of `7.4~rc2-1~exp1`. */
function upstreamOf(version: string): string {
	return /^(?:\d+:)?(\d+\.\d+(?:\.\d+)?(?:~rc\d+)?)/.exec(version)?.[1]?.replace('~', '-') ?? version;
}

/** Positive where `a` is to be taken before `b`, another build of the same version. */
function preference(a: CatalogueEntry, b: CatalogueEntry): number {
	const stable = ({ suite }: CatalogueEntry) => Number(SUITES.find(({ name }) => name === suite)?.stable ?? false);
	const home = ({ series, suite }: CatalogueEntry) => Number(suite.split('-')[0] === HOMES[series]);
	const full = ({ tier }: CatalogueEntry) => Number(tier === 'full');
	const order = ({ suite }: CatalogueEntry) => -SUITES.findIndex(({ name }) => name === suite);
	return (
		full(a) - full(b) ||
		stable(a) - stable(b) ||
		home(a) - home(b) ||
		compareDebian(a.packages[0]!.version, b.packages[0]!.version) ||
		order(a) - order(b)
	);
}
