/** What one call costs with something and without it, in one guest and one process: fixtures/workloads/calls.c. */
import type { Vm } from '../../../kernels/vm.ts';
import { installProgram } from './program.ts';
import { firstComeFirstServed } from './workload.ts';

export type CallKind = 'connect' | 'sendto' | 'exchange';

export interface Variant {
	/** the cgroup that its sockets are made in: its path */
	cgroup: string;
	/** the address that they are bound to before anything is counted */
	source?: string;
}

export interface CallCosts<Name extends string> {
	/** what a call of each variant takes at least: with no tick of the clock in it, and nothing left to do of the call before */
	instructions: Record<Name, number>;
	/** how much more that is of one variant than of another */
	added(from: Name, to: Name): number;
}

const PORT = 7000;
const SERVES = { connect: 'tcp_rr', exchange: 'tcp_rr', sendto: 'udp_rr' } as const;

/** A command line that says `serving` once it is there for such calls. */
export async function serverOf(vm: Vm, kind: CallKind, address: string): Promise<string[]> {
	return firstComeFirstServed([await installProgram(vm, 'rr'), 'serve', SERVES[kind], address, String(PORT), '1', '1']);
}

/** In the host's netns, to a server at this address; one variant after the other, `count` times. */
export async function callCosts<Name extends string>(
	vm: Vm,
	kind: CallKind,
	address: string,
	variants: Record<Name, Variant>,
	count: number,
): Promise<CallCosts<Name>> {
	const names = Object.keys(variants) as Name[];
	const program = await installProgram(vm, 'calls');
	const words = [kind, address, String(PORT), String(count), ...names.map((name) => wordOf(variants[name]))];
	const { stdout } = await vm.exec(firstComeFirstServed([program, ...words]), { timeout: 300_000 });
	const lists = JSON.parse(stdout) as number[][];
	const instructions = Object.fromEntries(names.map((name, index) => [name, Math.min(...lists[index]!)])) as Record<
		Name,
		number
	>;
	return { instructions, added: (from, to) => instructions[to] - instructions[from] };
}

function wordOf({ cgroup, source }: Variant): string {
	return source ? `${cgroup}=${source}` : cgroup;
}
