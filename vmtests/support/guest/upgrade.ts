/** Upgrades in the agent's own process: within a second, while something else is measured. */
import { upgrade } from '../../../impl/net.ts';

/** To the objects of a folder; null: those of this payload. Answers what was done. */
export async function upgradeTo(folder: string | null): Promise<string[]> {
	if (folder === null) delete process.env.PATHPROOF_BPF;
	else process.env.PATHPROOF_BPF = folder;
	const steps: string[] = [];
	await upgrade({ onStep: (what) => void steps.push(what) });
	return steps;
}
