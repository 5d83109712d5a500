/** Debian's archive as this machine knows it: the suites that hold kernels, the mirrors, a private configuration for apt. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { PathproofError } from './errors.ts';

export interface Mirrors {
	/** URI without a slash at its end: `http://MIRROR/debian` */
	main: string;
	/** `http://MIRROR/debian-security` */
	security: string;
}

export interface Suite {
	/** `trixie-security` */
	name: string;
	archive: keyof Mirrors;
	/** false: asked for by name only, since it may be past its Valid-Until */
	stable: boolean;
}

/** In the order of preference: where two suites hold the same package, the one that keeps it longer comes first. */
export const SUITES: readonly Suite[] = [
	...['bullseye', 'bookworm', 'trixie'].flatMap((codename): Suite[] => [
		{ name: codename, archive: 'main', stable: true },
		{ name: `${codename}-security`, archive: 'security', stable: true },
		{ name: `${codename}-updates`, archive: 'main', stable: true },
		// bullseye's backports went to the archive when LTS began.
		...(codename === 'bullseye' ? [] : [{ name: `${codename}-backports`, archive: 'main', stable: true } as const]),
	]),
	{ name: 'forky', archive: 'main', stable: false },
	{ name: 'forky-security', archive: 'security', stable: false },
	{ name: 'sid', archive: 'main', stable: false },
	{ name: 'experimental', archive: 'main', stable: false },
];

/** Names by which a sources file may call Debian's suites, beside their codenames. */
const ALIASES = ['oldoldstable', 'oldstable', 'stable', 'testing', 'unstable'];
const CODENAMES = new Set([...ALIASES, ...SUITES.map(({ name }) => name.split('-')[0]!)]);

/** Debian's keyring: `.pgp` with a link at the old name from trixie on. */
const KEYRINGS = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp'];

/** Debian's name for this machine's architecture. */
export const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** One place that apt fetches from. */
export interface Source {
	uri: string;
	suite: string;
}

/** The suites whose kernels a lock may pin: what is in the others may be gone tomorrow. */
export function stableSuites(): string[] {
	return SUITES.filter(({ stable }) => stable).map(({ name }) => name);
}

/** The suites to read without being asked, and those of $PATHPROOF_DEBIAN_SUITES (comma list). */
export function defaultSuites(extra = process.env.PATHPROOF_DEBIAN_SUITES ?? ''): string[] {
	const asked = extra.split(',').filter(Boolean);
	for (const name of asked) suiteNamed(name);
	return SUITES.filter(({ name, stable }) => stable || asked.includes(name)).map(({ name }) => name);
}

export function suiteNamed(name: string): Suite {
	const suite = SUITES.find((candidate) => candidate.name === name);
	if (suite) return suite;
	throw new PathproofError(`Debian has no suite ${name} that is known here`, {
		stage: 'usage',
		hint: `one of ${SUITES.map((candidate) => candidate.name).join(' ')}`,
	});
}

/**
 * $PATHPROOF_DEBIAN_MIRROR and $PATHPROOF_DEBIAN_SECURITY where they are set, else what the machine's own apt sources name.
 * Throws stage `setup` where neither knows a mirror: this is no Debian, or its sources are elsewhere.
 */
export async function debianMirrors(): Promise<Mirrors> {
	return chooseMirrors(
		readSources('/etc/apt'),
		process.env.PATHPROOF_DEBIAN_MIRROR,
		process.env.PATHPROOF_DEBIAN_SECURITY,
	);
}

/** Pure: which of `sources` are Debian's; what is given by hand comes first. */
export function chooseMirrors(sources: Source[], main?: string, security?: string): Mirrors {
	const debian = sources.filter(({ suite }) => CODENAMES.has(suite.split(/[-/]/)[0]!));
	const isSecurity = ({ suite }: Source) => /(-security|\/updates)$/.test(suite);
	const mirror = main || debian.find((source) => !isSecurity(source))?.uri;
	if (!mirror)
		throw new PathproofError("no mirror of Debian's archive is known: the apt sources of this machine name none", {
			stage: 'setup',
			hint: 'PATHPROOF_DEBIAN_MIRROR=http://MIRROR/debian PATHPROOF_DEBIAN_SECURITY=http://MIRROR/debian-security',
		});
	// Debian's own layout, which most mirrors follow: the two archives side by side.
	const beside = mirror.replace(/\/+$/, '').replace(/\/debian$/, '/debian-security');
	const known = security || (main ? undefined : debian.find(isSecurity)?.uri) || beside;
	return { main: mirror.replace(/\/+$/, ''), security: known.replace(/\/+$/, '') };
}

/** The URI of a file of the archive, e.g. of a package's `pool/…deb`. */
export function archiveUri(mirrors: Mirrors, suite: string, filename: string): string {
	return `${mirrors[suiteNamed(suite).archive]}/${filename}`;
}

/** What apt fetches from, by `etc`/sources.list and `etc`/sources.list.d: those of type `deb` that are enabled. */
export function readSources(etc: string): Source[] {
	const parts = join(etc, 'sources.list.d');
	const files = [
		join(etc, 'sources.list'),
		...(existsSync(parts)
			? readdirSync(parts)
					.sort()
					.map((name) => join(parts, name))
			: []),
	];
	return files
		.filter((file) => existsSync(file))
		.flatMap((file) => {
			if (file.endsWith('.sources')) return parseDeb822(readFileSync(file, 'utf8'));
			return file.endsWith('.list') ? parseOneLine(readFileSync(file, 'utf8')) : [];
		})
		.filter(({ uri }) => !uri.startsWith('cdrom:'));
}

/** `deb [options] URI SUITE COMPONENT…`, one a line. */
export function parseOneLine(text: string): Source[] {
	return text.split('\n').flatMap((line) => {
		const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+([^\s#]+)/.exec(line);
		return match ? [{ uri: match[1]!, suite: match[2]! }] : [];
	});
}

/** Stanzas of `Types:`, `URIs:`, `Suites:`; a value may go on in lines that begin with a space. */
export function parseDeb822(text: string): Source[] {
	const stanzas = text
		.split('\n')
		.filter((line) => !line.startsWith('#'))
		.join('\n')
		.split(/\n\s*\n/);
	return stanzas.flatMap((stanza) => {
		const fields = new Map<string, string[]>();
		for (const [, name, value] of stanza.matchAll(/^([^\s:]+):((?:.*)(?:\n[ \t].*)*)/gm))
			fields.set(name!.toLowerCase(), value!.split(/\s+/).filter(Boolean));
		const enabled = !['no', 'false', 'off', '0'].includes(fields.get('enabled')?.[0]?.toLowerCase() ?? 'yes');
		if (!enabled || !fields.get('types')?.includes('deb')) return [];
		return (fields.get('uris') ?? []).flatMap((uri) => (fields.get('suites') ?? []).map((suite) => ({ uri, suite })));
	});
}

/**
 * Writes an apt configuration of its own into `dir`: `suites` of Debian's archive, Debian's keyring, its own lists and cache, the
 * machine's proxies and nothing else of /etc/apt. Answers the file's path, to be given as $APT_CONFIG.
 */
export async function writeAptConfig(
	dir: string,
	{ suites, preferences }: { suites: readonly string[]; preferences?: string },
): Promise<string> {
	const keyring = KEYRINGS.find((path) => existsSync(path));
	if (!keyring)
		throw new PathproofError("Debian's keyring is not here: nothing could verify what is fetched", {
			stage: 'setup',
			hint: 'apt-get install debian-archive-keyring',
		});
	const mirrors = await debianMirrors();
	for (const name of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(dir, name), { recursive: true });
	const sources = suites.map(
		(suite) => `deb [arch=${ARCHITECTURE} signed-by=${keyring}] ${mirrors[suiteNamed(suite).archive]} ${suite} main\n`,
	);
	writeFileSync(join(dir, 'sources.list'), sources.join(''));
	writeFileSync(join(dir, 'preferences'), preferences ?? '');
	writeFileSync(join(dir, 'apt.conf'), aptConfig(dir, await machineTransport()));
	return join(dir, 'apt.conf');
}

/** Pure: the text of that configuration; `transport` are lines of apt.conf that say how this machine reaches a mirror. */
export function aptConfig(dir: string, transport: string[]): string {
	const settings: Record<string, string> = {
		// apt reads its parts after $APT_CONFIG, so that theirs would win: hooks of the desktop, languages, pins.
		'Dir::Etc::parts': '/dev/null',
		'Dir::Etc::main': '/dev/null',
		'Dir::Etc::sourcelist': join(dir, 'sources.list'),
		'Dir::Etc::sourceparts': '/dev/null',
		'Dir::Etc::preferences': join(dir, 'preferences'),
		'Dir::Etc::preferencesparts': '/dev/null',
		'Dir::State': dir,
		'Dir::State::lists': join(dir, 'lists'),
		'Dir::State::status': '/var/lib/dpkg/status',
		'Dir::State::extended_states': '/var/lib/apt/extended_states',
		'Dir::Cache': join(dir, 'cache'),
		// A binary cache of packages is only good for many calls of apt: the lists are read once here.
		'Dir::Cache::pkgcache': '',
		'Dir::Cache::srcpkgcache': '',
		'APT::Architecture': ARCHITECTURE,
		'APT::Install-Recommends': 'false',
		// apt's own user cannot enter a home directory, and says so at each call.
		'APT::Sandbox::User': process.getuid?.() === 0 ? 'root' : '_apt',
		// Whatever this machine puts up with elsewhere: only what Debian signed.
		'Acquire::AllowInsecureRepositories': 'false',
		'Acquire::AllowWeakRepositories': 'false',
		'Acquire::AllowDowngradeToInsecureRepositories': 'false',
		'Acquire::Languages': 'none',
		'Acquire::GzipIndexes': 'true',
	};
	return [...transport, ...Object.entries(settings).map(([name, value]) => `${name} "${value}";`), ''].join('\n');
}

/** The machine's proxies, timeouts and whatever else it says about how to fetch, as lines of apt.conf. */
async function machineTransport(): Promise<string[]> {
	const { stdout } = await execa('apt-config', ['dump', '--no-empty', '--format', '%F "%v";%n', 'Acquire']);
	return stdout.split('\n').filter((line) => line && !/^Acquire::(IndexTargets|Languages|GzipIndexes)\b/.test(line));
}
