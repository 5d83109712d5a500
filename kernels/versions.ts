/** Versions, and kernels by their versions, as Debian and the kernel order them. */
import type { CatalogueEntry } from './kernel.ts';

/** Pure: Debian's order (deb-version(7)): negative where `a` is older. `~` sorts before the end, letters before the rest. */
export function compareDebian(a: string, b: string): number {
	const [epochA, restA] = splitEpoch(a);
	const [epochB, restB] = splitEpoch(b);
	if (epochA !== epochB) return epochA - epochB;
	const [upstreamA, revisionA] = splitRevision(restA);
	const [upstreamB, revisionB] = splitRevision(restB);
	return comparePart(upstreamA, upstreamB) || comparePart(revisionA, revisionB);
}

/** Pure: `6.12.9` before `6.12.10`, `7.4-rc2` before `7.4.0`; negative where `a` is older. */
export function compareUpstream(a: string, b: string): number {
	return comparePart(a.replace(/-rc/, '~rc'), b.replace(/-rc/, '~rc'));
}

/** `6.12` of `6.12.117`. */
export function seriesOf(version: string): string {
	return version
		.split('.')
		.slice(0, 2)
		.join('.')
		.replace(/[-~].*/, '');
}

/** Pure: the newest kernel of each series and flavour, one with modules where there is one. */
export function newestPerSeries(kernels: CatalogueEntry[]): CatalogueEntry[] {
	const newest = new Map<string, CatalogueEntry>();
	for (const kernel of [...kernels].sort(
		(a, b) => Number(b.tier === 'image') - Number(a.tier === 'image') || byAge(a, b),
	))
		newest.set(`${kernel.series} ${kernel.flavour}`, kernel);
	return [...newest.values()].sort(byAge);
}

/** Pure: oldest first, cloud before generic. */
export function byAge(a: CatalogueEntry, b: CatalogueEntry): number {
	return compareUpstream(a.version, b.version) || (a.flavour < b.flavour ? -1 : Number(a.flavour > b.flavour));
}

function comparePart(a: string, b: string): number {
	let [restA, restB] = [a, b];
	while (restA || restB) {
		const [textA, textB] = [/^\D*/.exec(restA)![0], /^\D*/.exec(restB)![0]];
		for (let at = 0; at < Math.max(textA.length, textB.length); at++) {
			const difference = rank(textA[at]) - rank(textB[at]);
			if (difference) return difference;
		}
		[restA, restB] = [restA.slice(textA.length), restB.slice(textB.length)];
		const [digitsA, digitsB] = [/^\d*/.exec(restA)![0], /^\d*/.exec(restB)![0]];
		const difference = Number(digitsA) - Number(digitsB);
		if (difference) return difference;
		[restA, restB] = [restA.slice(digitsA.length), restB.slice(digitsB.length)];
	}
	return 0;
}

function rank(character: string | undefined): number {
	if (character === '~') return -1;
	if (character === undefined) return 0;
	return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
}

function splitEpoch(version: string): [number, string] {
	const at = version.indexOf(':');
	return at < 0 ? [0, version] : [Number(version.slice(0, at)), version.slice(at + 1)];
}

function splitRevision(version: string): [string, string] {
	const at = version.lastIndexOf('-');
	return at < 0 ? [version, ''] : [version.slice(0, at), version.slice(at + 1)];
}
