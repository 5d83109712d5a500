/**
 * One file of Debian's archive, whose SHA-256 is known from a list that apt has verified or from the lock.
 * apt-helper would fetch and verify it too, but resumes only where it could still stamp the part file with the server's date: after
 * a kill -9 it began anew (measured with apt 2.6). The sum makes the date needless, so http is spoken here, through apt's own
 * proxy; what is not http (file:, mirror+file:, tor+http:) is left to apt.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, lstatSync, renameSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { hasCode, makeDirectory } from './disk.ts';
import { PathproofError } from './errors.ts';

export interface Wanted {
	/** where to look, in this order: the next one only when the file is not there */
	uris: string[];
	/** bytes */
	size: number;
	sha256: string;
}

const APT_HELPER = '/usr/lib/apt/apt-helper';
/** Attempts in a row that may bring no byte. */
const IDLE_ATTEMPTS = 4;
/** A server that is silent for so long is gone. */
const SILENCE_MS = 30_000;
/** A bad sum may be the part of an earlier day; a second one, fetched from the start, is the server's. */
const BAD_SUMS = 2;

/** This address does not have the file, or not this one: another may. */
class Gone extends Error {}
/** Worth another attempt: the connection broke, or the server is busy. */
class Broken extends Error {}

/**
 * Fetches to `path`, which appears only when it is whole and its sum is right; until then its bytes are in `path.part`, and
 * the next call goes on from there. `onBytes` is told the bytes had so far. Throws stage `fetch`.
 */
export async function download(
	wanted: Wanted,
	path: string,
	onBytes: (bytes: number) => void = () => {},
): Promise<void> {
	makeDirectory(dirname(path));
	const part = `${path}.part`;
	const sums: string[] = [];
	while (sums.length < BAD_SUMS) {
		await fetchAll(wanted, part, onBytes);
		const sum = await sha256Of(part);
		if (sum === wanted.sha256) {
			renameSync(part, path);
			return;
		}
		sums.push(sum);
		rmSync(part);
	}
	throw new PathproofError(
		`${wanted.uris[0]} is not what it should be: SHA-256 ${sums.at(-1)}, expected ${wanted.sha256}`,
		{
			stage: 'fetch',
			hint: 'a proxy or the mirror has altered it: set PATHPROOF_DEBIAN_MIRROR to another one, and try again',
		},
	);
}

export async function sha256Of(path: string): Promise<string> {
	const hash = createHash('sha256');
	await pipeline(createReadStream(path), hash);
	return hash.digest('hex');
}

/** Until `part` has all bytes. */
async function fetchAll({ uris, size }: Wanted, part: string, onBytes: (bytes: number) => void): Promise<void> {
	const failures: string[] = [];
	let brokenBy: Broken | undefined;
	for (const uri of uris) {
		try {
			await fetchFrom(uri, size, part, onBytes);
			return;
		} catch (error) {
			if (!(error instanceof Gone) && !(error instanceof Broken)) throw error;
			failures.push(`${uri}: ${error.message}`);
			if (error instanceof Broken) brokenBy = error;
		}
	}
	if (brokenBy) throw unreachable(failures, part, brokenBy);
	throw new PathproofError(`the archive no longer has it (${failures.join('; ')})`, {
		stage: 'fetch',
		hint: 'npx pathproof kernels update moves the lock to what there is; PATHPROOF_SNAPSHOT=https://… names an archive that keeps all',
	});
}

async function fetchFrom(uri: string, size: number, part: string, onBytes: (bytes: number) => void): Promise<void> {
	for (let idle = 0; ; ) {
		const had = sizeOf(part);
		if (had === size && !isLink(part)) return;
		// apt makes a link of what is on this machine: never to be written through.
		if (had > size || isLink(part)) rmSync(part, { force: true });
		try {
			await (/^https?:/.test(uri) ? fetchHttp(uri, size, part, onBytes) : fetchByApt(uri, part));
		} catch (error) {
			if (!(error instanceof Broken)) throw error;
			idle = sizeOf(part) > had ? 0 : idle + 1;
			if (idle >= IDLE_ATTEMPTS) throw error;
			await sleep(200 * 2 ** idle);
			continue;
		}
		// Ended in good order, and yet too short or too long: asked again, it goes on or begins anew.
		if (sizeOf(part) === size) return;
		if (++idle >= IDLE_ATTEMPTS) throw new Broken(`${sizeOf(part)} bytes, expected ${size}`);
	}
}

/** One request, from where `part` ends. */
async function fetchHttp(uri: string, size: number, part: string, onBytes: (bytes: number) => void): Promise<void> {
	useAptProxy ??= readAptProxy();
	await useAptProxy;
	const had = sizeOf(part);
	const silence = new AbortController();
	let timer = setTimeout(() => silence.abort(), SILENCE_MS);
	const watch = (bytes: number) => {
		clearTimeout(timer);
		timer = setTimeout(() => silence.abort(), SILENCE_MS);
		onBytes(bytes);
	};
	try {
		const response = await fetch(uri, {
			headers: { 'accept-encoding': 'identity', ...(had > 0 ? { range: `bytes=${had}-` } : {}) },
			signal: silence.signal,
		}).catch(broken);
		const from = startOf(response, had, size);
		if (from === null) {
			await response.body?.cancel();
			rmSync(part, { force: true });
			return;
		}
		let bytes = from;
		const count = new Transform({
			transform(chunk: Buffer, _encoding, done) {
				bytes += chunk.length;
				watch(bytes);
				done(null, chunk);
			},
		});
		await pipeline(
			Readable.fromWeb(response.body!),
			count,
			createWriteStream(part, { flags: from > 0 ? 'a' : 'w' }),
		).catch(broken);
	} finally {
		clearTimeout(timer);
	}
}

/** At which byte the answer begins; null where the server will not go on from `had`. */
function startOf({ status, statusText, headers }: Response, had: number, size: number): number | null {
	if (status === 404 || status === 410) throw new Gone(`${status} ${statusText}`);
	if (status === 416) return null;
	if (status !== 200 && status !== 206) throw new Broken(`${status} ${statusText}`);
	const [, start = '0', total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '') ?? [];
	const whole = total ?? (status === 200 ? headers.get('content-length') : null);
	if (whole !== null && whole !== undefined && Number(whole) !== size)
		throw new Gone(`${whole} bytes, expected ${size}`);
	return status === 200 || Number(start) === had ? Number(start) : null;
}

async function fetchByApt(uri: string, part: string): Promise<void> {
	const { exitCode, stderr } = await execa(APT_HELPER, ['download-file', uri, part], {
		reject: false,
		env: { LC_ALL: 'C' },
	});
	if (exitCode === 0) return;
	const said = /^E(?:rror)?: Failed to fetch \S+\s+(.*)$/m.exec(stderr)?.[1] ?? stderr.trim();
	throw /not found|No such file|404/i.test(said) ? new Gone(said) : new Broken(said);
}

let useAptProxy: Promise<void> | undefined;

/** What this machine has told apt about proxies holds here too; the environment's own variables come first, as with apt. */
async function readAptProxy(): Promise<void> {
	const { stdout } = await execa('apt-config', ['dump', '--no-empty', '--format', '%F %v%n', 'Acquire']);
	const settings = new Map(stdout.split('\n').map((line) => line.split(' ', 2) as [string, string]));
	const [plain, secure] = await Promise.all(
		['http', 'https'].map(
			async (scheme) => settings.get(`Acquire::${scheme}::Proxy`) ?? (await detectProxy(scheme, settings)),
		),
	);
	const { http_proxy = plain, https_proxy = secure ?? plain, no_proxy = 'localhost,127.0.0.1' } = process.env;
	if (http_proxy?.startsWith('http') || https_proxy?.startsWith('http'))
		http.setGlobalProxyFromEnv({ http_proxy, https_proxy, no_proxy });
}

/** What a script such as squid-deb-proxy's finds on the network. */
async function detectProxy(scheme: string, settings: Map<string, string>): Promise<string | undefined> {
	if (![...settings.keys()].some((key) => /::Proxy-?Auto-?Detect$/i.test(key))) return undefined;
	const { stdout } = await execa(APT_HELPER, ['auto-detect-proxy', `${scheme}://localhost/`], { reject: false });
	return /^Using proxy '(https?:.+)' for/.exec(stdout)?.[1];
}

/** An error of the connection; what the disk says goes its own way. */
function broken(error: Error): never {
	if (hasCode(error, 'ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EIO')) throw error;
	const { cause } = error;
	throw new Broken(
		cause instanceof Error
			? cause.message
			: error.name === 'AbortError'
				? `silent for ${SILENCE_MS / 1000} s`
				: error.message,
	);
}

function unreachable(failures: string[], part: string, cause: Error): PathproofError {
	return new PathproofError(`cannot fetch ${failures.join('; ')}`, {
		stage: 'fetch',
		hint: `look at the network (pathproof doctor) and run it again: it goes on from the ${sizeOf(part)} bytes that are here`,
		cause,
	});
}

function isLink(path: string): boolean {
	return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

function sizeOf(path: string): number {
	return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
