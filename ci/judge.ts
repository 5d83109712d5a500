/** What follows from what was found: which tools are lacking, what would mend it, what is to be installed. Pure. */
import type { Elevation, Finding } from './probe.ts';
import { PACKAGES, type System, type Tool } from './systems.ts';

/** How one tool stands. */
export interface Verdict {
	tool: Tool;
	/** the one that will be used, or would be if it were new enough */
	found: Finding | null;
	/** why it will not do; undefined where it does */
	problem?: string;
}

export type Plan =
	| { kind: 'install'; system: System; packages: Wanted[]; sudo: boolean }
	| { kind: 'refuse'; because: string; hint: string };

/** One package to install. */
export interface Wanted {
	name: string;
	/** where it comes from, if it is pinned to a suite */
	suite?: string;
	/** the tools it is installed for */
	tools: string[];
}

export function judge(tool: Tool, findings: Finding[]): Verdict {
	const found = findings.find((finding) => !problemOf(tool, finding)) ?? findings[0] ?? null;
	const problem = found ? problemOf(tool, found) : 'not found';
	return problem ? { tool, found, problem } : { tool, found };
}

function problemOf({ atLeast }: Tool, { path, version, usable }: Finding): string | undefined {
	if (!usable) return `${path} is not static`;
	if (!atLeast) return undefined;
	if (version === null) return `${path} does not say its version, and ${atLeast.version} is needed`;
	if (isAtLeast(version, atLeast.version)) return undefined;
	return `${path} is ${version}, and ${atLeast.version} is needed: ${atLeast.because}`;
}

/** Compares dotted numbers: `9.2` < `10.0`. Missing numbers are 0. */
export function isAtLeast(version: string, least: string): boolean {
	const [have, need] = [version, least].map((text) => text.split('.').map(Number)) as [number[], number[]];
	const i = need.findIndex((number, i) => number !== (have[i] ?? 0));
	return i === -1 || (have[i] ?? 0) > (need[i] ?? 0);
}

/** What to do about the lacking tools. `system` is its name where there is no row for it. */
export function plan(system: System | string, lacking: Tool[], elevation: Elevation): Plan {
	const refuse = (because: string, hint: string): Plan => ({ kind: 'refuse', because, hint });
	const byHand = 'install the list above, then: npx pathproof doctor';
	if (typeof system === 'string') return refuse(`${system} is not a system that pathproof knows`, byHand);
	if (system.refusal) return refuse(`${system.name}: ${system.refusal}`, byHand);
	if (elevation === 'none')
		return refuse(
			'installing needs root, and no sudo answers here',
			'as root, in this folder: npx pathproof doctor --fix',
		);
	return { kind: 'install', system, packages: packagesOf(system, lacking), sudo: elevation === 'sudo' };
}

/** The packages that hold the tools, each once. */
function packagesOf(system: System, tools: Tool[]): Wanted[] {
	const byName = Object.groupBy(tools, (tool) => packageOf(system, tool));
	return Object.entries(byName).map(([name, tools = []]) => {
		const suite = pinOf(system, name);
		return { name, ...(suite && { suite }), tools: tools.map((tool) => tool.name) };
	});
}

function packageOf(system: System, { name }: Tool): string {
	return system.packages?.[name] ?? PACKAGES[name];
}

function pinOf({ pins }: System, name: string): string | undefined {
	return pins?.find(({ packages }) => packages.includes(name))?.suite;
}

/** What mends one lack, for a person to read: a command where apt alone can do it. */
export function remedy(system: System | string, tool: Tool): string {
	if (typeof system === 'string' || system.refusal) {
		const version = tool.atLeast ? ` ≥ ${tool.atLeast.version}` : '';
		return `install ${tool.name}${version} (in Debian: ${PACKAGES[tool.name]})`;
	}
	const name = packageOf(system, tool);
	const suite = pinOf(system, name);
	return suite ? `npx pathproof doctor --fix (${name} from ${suite})` : `apt-get install ${name}`;
}

/** An apt_preferences(5) file: the pinned packages from their suites, and nothing else from a suite that is not the system's own. */
export function preferences({ codename, pins = [] }: System): string {
	const stanza = (packages: string, suite: string, priority: number) =>
		`Package: ${packages}\nPin: release n=${suite}\nPin-Priority: ${priority}\n`;
	const foreign = pins.filter(({ suite }) => !suite.startsWith(codename));
	return [
		...foreign.map(({ suite }) => stanza('*', suite, -1)),
		...pins.map(({ suite, packages }) => stanza(packages.join(' '), suite, 600)),
	].join('\n');
}
