/** One change of a host's state: a plan is a list of them, which a dry run prints and a real one carries out. */
export interface Step {
	/** as one would type it, where there is a command for it: `ip link add name web type veth …` */
	what: string;
	run(): Promise<void> | void;
}

export interface How {
	/** called with what each step is, once it is done; of a dry run, as it would be */
	onStep?(what: string): void;
}
export type DryRun = How & { dryRun: true };

export async function carryOut(steps: readonly Step[], { onStep }: How = {}): Promise<void> {
	for (const { what, run } of steps) {
		await run();
		onStep?.(what);
	}
}

/** What a dry run does with them. */
export function tell(steps: Step[], { onStep }: How): Step[] {
	for (const { what } of steps) onStep?.(what);
	return steps;
}
