/** The examination: this machine's system and how each tool stands on it. */
import { judge, remedy, type Verdict } from './judge.ts';
import { probe, thisSystem } from './probe.ts';
import { type System, TOOLS, type Tool } from './systems.ts';

export interface Examination {
	/** the row, or the name of a system that has none */
	system: System | string;
	verdicts: Verdict[];
	lacking: Tool[];
}

export async function examine(): Promise<Examination> {
	const verdicts = await Promise.all(TOOLS.map(async (tool) => judge(tool, await probe(tool))));
	return { system: thisSystem(), verdicts, lacking: verdicts.filter(({ problem }) => problem).map(({ tool }) => tool) };
}

/** One line for each lack: what it is, what is wrong, what mends it. */
export function describeLacks({ system, verdicts }: Examination): string {
	return verdicts
		.filter(({ problem }) => problem)
		.map(({ tool, problem }) => `  ${tool.name}, which ${tool.use}: ${problem}\n    ${remedy(system, tool)}`)
		.join('\n');
}
