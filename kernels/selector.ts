/** The words by which a user names kernels: parsed, then looked up in the lock and the catalogue. Both are pure. */
import { closest, distance } from 'fastest-levenshtein';
import { PathproofError } from './errors.ts';
import type { CatalogueEntry, Flavour } from './kernel.ts';
import type { Lock } from './lock.ts';
import { byAge, compareUpstream, newestPerSeries, seriesOf } from './versions.ts';

/** One part of a comma list. */
export type Term =
	/** `default`, `all`: what the lock pins; `every`: each point release still to be had */
	| { kind: 'word'; word: Word; flavour: Flavour }
	/** `6.12`: the locked one of that series */
	| { kind: 'series'; series: string; flavour: Flavour }
	/** `6.12.95` */
	| { kind: 'version'; version: string; flavour: Flavour }
	/** `>=6.6`: of each series' locked kernel, those that satisfy it */
	| { kind: 'range'; operator: Operator; version: string; flavour: Flavour }
	/** `./linux`: a build tree */
	| { kind: 'tree'; path: string }
	/** `VMLINUZ:MODULES`: the files of any distribution */
	| { kind: 'files'; vmlinuz: string; modules: string };

export type TreeTerm = Extract<Term, { kind: 'tree' | 'files' }>;

const WORDS = ['default', 'all', 'every'] as const;
type Word = (typeof WORDS)[number];

/** Whether a version's order against the range's version satisfies the operator. */
const OPERATORS = {
	'>=': (order: number) => order >= 0,
	'<=': (order: number) => order <= 0,
	'>': (order: number) => order > 0,
	'<': (order: number) => order < 0,
	'=': (order: number) => order === 0,
};
type Operator = keyof typeof OPERATORS;

const IS_SERIES = /^\d+\.\d+$/;

/** How far a word may be from a known one to be taken for a slip of it. */
const SLIP = 2;

/** Throws stage `usage` for what is no selector at all. */
export function parseSelector(selector: string): Term[] {
	const parts = selector.split(',').map((part) => part.trim());
	if (parts.some((part) => part === '')) throw unknown(selector, 'an empty part', []);
	return parts.map(parseTerm);
}

/** True where only the catalogue can answer: the lock does not pin what is asked for. */
export function needsCatalogue(terms: Term[], lock: Lock): boolean {
	return terms.some((term) => {
		if (term.kind === 'word') return term.word === 'every';
		return (term.kind === 'series' || term.kind === 'version') && !lock.kernels.some((kernel) => matches(term, kernel));
	});
}

/**
 * The kernels that `terms` name, in the order they are named, each once; build trees are left for the caller to read.
 * `catalogue` may be empty where needsCatalogue() says no. Throws stage `usage`, with the nearest name, where one is unknown.
 */
export function resolve(terms: Term[], lock: Lock, catalogue: CatalogueEntry[]): Array<CatalogueEntry | TreeTerm> {
	const found = new Map<string, CatalogueEntry | TreeTerm>();
	for (const term of terms) {
		if (term.kind === 'tree') found.set(term.path, term);
		else if (term.kind === 'files') found.set(`${term.vmlinuz}:${term.modules}`, term);
		else for (const kernel of lookUp(term, lock, catalogue)) found.set(kernel.id, kernel);
	}
	return [...found.values()];
}

function lookUp(term: Exclude<Term, TreeTerm>, lock: Lock, catalogue: CatalogueEntry[]): CatalogueEntry[] {
	const found = candidates(term, lock, catalogue);
	if (found.length > 0) return found;
	const known = [...lock.kernels, ...catalogue];
	const names = [...known.map(({ series }) => series), ...known.map(({ version }) => version), ...WORDS];
	throw unknown(show(term), term.kind === 'range' ? 'no kernel that satisfies it' : 'no such kernel', names);
}

function candidates(term: Exclude<Term, TreeTerm>, lock: Lock, catalogue: CatalogueEntry[]): CatalogueEntry[] {
	const locked = lock.kernels.filter(({ flavour }) => flavour === term.flavour);
	const known = [...locked, ...catalogue.filter(({ flavour }) => flavour === term.flavour)];
	switch (term.kind) {
		case 'word': {
			if (term.word === 'every') return once(known).sort(byAge);
			const series = lock[term.word].map((id) => lock.kernels.find((kernel) => kernel.id === id)!.series);
			return locked.filter((kernel) => series.includes(kernel.series));
		}
		case 'range':
			return locked.filter(({ version }) => OPERATORS[term.operator](compareUpstream(version, term.version)));
		case 'series':
			return locked
				.filter((kernel) => matches(term, kernel))
				.concat(newestPerSeries(known.filter((kernel) => matches(term, kernel))))
				.slice(0, 1);
		case 'version':
			return known.filter((kernel) => matches(term, kernel)).slice(0, 1);
	}
}

function matches(term: Term, kernel: CatalogueEntry): boolean {
	if (term.kind === 'series') return kernel.series === term.series && kernel.flavour === term.flavour;
	return term.kind === 'version' && kernel.version === term.version && kernel.flavour === term.flavour;
}

function parseTerm(text: string): Term {
	if (text.includes('/') || /^[.~]/.test(text)) return parsePath(text);
	const [, name, suffix] = /^(.*?)(?:-(cloud|generic))?$/.exec(text)!;
	const flavour = (suffix ?? 'cloud') as Flavour;
	if ((WORDS as readonly string[]).includes(name!)) return { kind: 'word', word: name as Word, flavour };
	const match = /^(>=|<=|>|<|=)?\s*(\d+\.\d+(?:\.\d+|-rc\d+)?)$/.exec(name!);
	if (!match) throw unknown(text, 'no selector', WORDS);
	const version = match[2]!;
	if (match[1] && match[1] !== '=') return { kind: 'range', operator: match[1] as Operator, version, flavour };
	return /^\d+\.\d+$/.test(version)
		? { kind: 'series', series: version, flavour }
		: { kind: 'version', version, flavour };
}

function parsePath(text: string): Term {
	const at = text.indexOf(':');
	return at < 0
		? { kind: 'tree', path: text }
		: { kind: 'files', vmlinuz: text.slice(0, at), modules: text.slice(at + 1) };
}

function show(term: Exclude<Term, TreeTerm>): string {
	const suffix = term.flavour === 'cloud' ? '' : `-${term.flavour}`;
	if (term.kind === 'word') return term.word + suffix;
	return (
		(term.kind === 'range' ? term.operator + term.version : term.kind === 'series' ? term.series : term.version) +
		suffix
	);
}

function once(kernels: CatalogueEntry[]): CatalogueEntry[] {
	return [...new Map(kernels.map((kernel) => [kernel.id, kernel])).values()];
}

function unknown(text: string, what: string, names: readonly string[]): PathproofError {
	const series = [...new Set(names.filter((name) => IS_SERIES.test(name)))].sort(compareUpstream);
	const meant = nearest(text, names);
	const hint = [
		meant && `did you mean ${meant}?`,
		series.length > 0 && `The series are ${series.join(' ')};`,
		'a selector is 6.12, 6.12.95, >=6.6, default, all, every, a comma list of those, a path to a build tree (./linux), or VMLINUZ:MODULES',
	];
	return new PathproofError(`${what}: ${text}`, { stage: 'usage', hint: hint.filter(Boolean).join(' ') });
}

/** Of words the one that looks most alike; of versions the one just before, in its own series if it has one: 6.12.96 for 6.12.97. */
function nearest(text: string, names: readonly string[]): string | null {
	const version = /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0];
	if (!version) {
		const alike = closest(text, [...WORDS]);
		return distance(text, alike) <= SLIP ? alike : null;
	}
	const versions = names.filter((name) => /^\d/.test(name) && IS_SERIES.test(name) === IS_SERIES.test(version));
	const siblings = versions.filter((name) => seriesOf(name) === seriesOf(version));
	const sorted = (siblings.length > 0 ? siblings : versions).sort(compareUpstream);
	return sorted.findLast((name) => compareUpstream(name, version) <= 0) ?? sorted[0] ?? null;
}
