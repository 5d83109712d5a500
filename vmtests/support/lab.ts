/**
 * A lab, from the host's side: a container `web`, its `host`, a `peer` beyond the wire, and a tracer over all of them. Built once for
 * each kernel and content by `impl` inside a guest, saved, and forked for each test that asks for it. What labs have in common, the
 * modules and the tracer, takes longer than the rest: it is built once for each kernel, and labs on top of it.
 */

import { basename } from 'node:path';
import { FORWARDS_OF } from '../../impl/container.ts';
import { keyOf } from '../../kernels/cache.ts';
import type { PoolClient, PoolVm } from '../../kernels/client.ts';
import { PathproofError } from '../../kernels/errors.ts';
import type { MachineRequest } from '../../kernels/pool-protocol.ts';
import type { Profile, Remote } from '../../kernels/vm.ts';
import type { Nics } from '../../kernels/wire.ts';
import { buildProgram } from './build.ts';
import { writeEvidence } from './evidence.ts';
import type { Forks } from './forks.ts';
import { payload } from './guest-vm.ts';
import { checkPair, LAB_DEVICES, type LabDevice, meantDevice } from './lab-words.ts';
import { Node } from './nodes.ts';
import type { ProvidedKernel } from './provided.ts';
import { decodeEvents } from './trace/events.ts';
import { packetPaths } from './trace/hops.ts';
import { Trace } from './trace/trace.ts';
import type { PacketFilter } from './trace/types.ts';
import {
	type Device,
	type DropCount,
	FORWARDS,
	type LabNode,
	type LabOptions,
	type LabState,
	WIRES,
	type Wire,
} from './types.ts';

const GUEST = {
	lab: 'vmtests/support/guest/lab.ts',
	tracer: 'vmtests/support/guest/tracer.ts',
	load: 'vmtests/support/guest/load.ts',
} as const;
type GuestLab = Remote<typeof import('./guest/lab.ts')>;
type GuestTracer = Remote<typeof import('./guest/tracer.ts')>;

export interface LabRequest extends Partial<Omit<LabOptions, 'device'>> {
	/** the container's device; `veth`, or `netkit-l3` where the kernel has no modules, without */
	device?: LabDevice;
	/** `exact`: one vCPU on which a nanosecond is an instruction; hops then say how many they took. `functional` without */
	profile?: Profile;
	/** a datapath of one's own on top: runs once in each fork, before the test sees the lab */
	setup?(lab: Lab): Promise<unknown>;
}

/** Where a stranger's program goes. */
export interface Attachment {
	/** a device of the host: `web`, the host end of the container's, sees what that sends; `eth0`, the uplink, what it receives */
	device: 'web' | 'eth0';
	/** which one of the object; its only one without */
	program?: string;
}

export class Lab {
	readonly vm: PoolVm;
	readonly state: LabState;
	readonly web: Node;
	readonly host: Node;
	readonly peer: Node;
	/** all that were made so far */
	readonly traces: Trace[] = [];
	readonly #api: Node | null;
	#lab: GuestLab;
	#tracer: GuestTracer;

	constructor(vm: PoolVm, state: LabState) {
		this.vm = vm;
		this.state = state;
		this.#lab = vm.use<typeof import('./guest/lab.ts')>(GUEST.lab);
		this.#tracer = vm.use<typeof import('./guest/tracer.ts')>(GUEST.tracer);
		const node = (of: LabNode) => new Node(of, vm, (filter, act) => this.trace(filter, act));
		this.web = node(state.web);
		this.#api = state.api && node(state.api);
		this.host = node(state.host);
		this.peer = node(state.peer);
	}

	/** The second container. Throws stage `usage` where the lab was asked without. */
	get api(): Node {
		if (this.#api) return this.#api;
		throw new PathproofError('this lab has one container', {
			stage: 'usage',
			hint: 'lab({ containers: { web: {}, api: {} } })',
		});
	}

	// Properties, not methods: a test takes a lab apart, `const { web, peer, detach } = await lab()`.

	/** The way of every packet that matches while `act` runs, whoever sends it. */
	readonly trace = async (filter: PacketFilter, act: () => Promise<unknown>): Promise<Trace> => {
		await this.#tracer.startTrace(filter);
		try {
			await act();
		} catch (error) {
			// Where the packets of what failed went is evidence; that it cannot be had, as of a guest that is lost, is said by `error`.
			await this.#stopTrace().catch(() => {});
			throw error;
		}
		return await this.#stopTrace();
	};

	async #stopTrace(): Promise<Trace> {
		const { records, names, lostEvents, symbols, untraced, reasons } = await this.#tracer.stopTrace();
		const events = decodeEvents(Buffer.from(records), names);
		const exact = this.vm.profile === 'exact';
		const trace = new Trace(packetPaths(events, lostEvents, { exact }), symbols, untraced, reasons);
		this.traces.push(trace);
		return trace;
	}

	/** Writes all that is known of this lab's traces into a folder, as a test that fails leaves it: see evidence.ts. */
	readonly evidence = async (dir: string): Promise<void> => {
		await writeEvidence(dir, { vm: this.vm, state: this.state, traces: this.traces, reproduce: null });
	};

	/** Takes a program from all its devices: what does not need it goes on without. */
	readonly detach = async (program: string): Promise<void> => {
		await this.#lab.detachProgram(program);
	};

	/** What the datapath's programs have dropped since the lab was built, by place and reason. */
	readonly drops = (): Promise<DropCount[]> => this.#lab.dropCounts();

	/**
	 * Loads somebody else's program and attaches it where packets pass, by the newest way that the kernel has: netkit, TCX or clsact.
	 * `path` is a `.bpf.c`, compiled on the host, or a built `.bpf.o`.
	 */
	readonly load = async (path: string, { device, program }: Attachment): Promise<void> => {
		const point = device === 'web' ? 'from-container' : 'from-wire';
		const hook = device === 'web' && this.state.options.device.startsWith('netkit') ? 'netkit' : 'tc';
		const object = `/run/pathproof/${basename(path).replace(/\.c$/, '.o')}`;
		await this.vm.writeFile(object, await buildProgram(path));
		await this.vm
			.use<typeof import('./guest/load.ts')>(GUEST.load)
			.loadProgram(object, { device, hook, point, program });
	};
}

export interface LabMaker {
	forks: Pick<Forks, 'take'> & Partial<Pick<Forks, 'watch'>>;
	pool: PoolClient;
	kernel: ProvidedKernel;
}

/** Answers the function that a test calls. */
export function openLab({ forks, pool, kernel }: LabMaker): (request?: LabRequest) => Promise<Lab> {
	return async (request = {}) => {
		const options = labOptions(request, kernel.tier);
		const { files, key } = await payload();
		const lab = keyOf('lab', key, options);
		const machine = { kernel: kernel.request, profile: request.profile, nics: nicsOf(options) };
		const on = isTracedAsUsual(options) ? await ensureTracer(pool, machine) : undefined;
		const state = await pool.ensureLab<LabState>({
			...machine,
			lab,
			on,
			what: `a lab (${options.device}, ${options.forward})`,
			async build(vm) {
				if (!on) await vm.install(files);
				return vm.use<typeof import('./guest/lab.ts')>(GUEST.lab).buildLab(options);
			},
		});
		const forked = new Lab(await forks.take({ ...machine, lab }), state);
		forks.watch?.(forked);
		await request.setup?.(forked);
		return forked;
	};
}

function isTracedAsUsual({ tracer = true, ringBytes }: LabOptions): boolean {
	return tracer && ringBytes === undefined;
}

/** What labs of this machine are built on. Answers its key. */
async function ensureTracer(pool: PoolClient, machine: MachineRequest): Promise<string> {
	const { files, key } = await payload();
	const lab = keyOf('tracer', key);
	await pool.ensureLab({
		...machine,
		lab,
		what: 'a tracer',
		async build(vm) {
			await vm.install(files);
			await vm.use<typeof import('./guest/lab.ts')>(GUEST.lab).prepareLab();
		},
	});
	return lab;
}

/** Of the guest's hardware: two for each wire outside of it. */
function nicsOf({ wire, containers = {} }: LabOptions): Nics | undefined {
	if (wire !== 'virtio') return undefined;
	return Object.values(containers).some(({ uplinks = [] }) => uplinks.includes('eth1')) ? 4 : 2;
}

/** Every word spelt out: what the lab is keyed by. Throws stage `usage` for a word that is none. */
export function labOptions(
	{ device, forward, wire, profile: _profile, setup: _setup, ...others }: LabRequest,
	tier: ProvidedKernel['tier'],
): LabOptions & { wire: Wire } {
	const byTier: { device: Device; wire: Wire } =
		tier === 'full' ? { device: 'veth', wire: 'veth' } : { device: 'netkit-l3', wire: 'netkit' };
	const meant = meantDevice(known('device', LAB_DEVICES, device ?? byTier.device));
	const way = known('way of forwarding', FORWARDS, forward ?? FORWARDS_OF[meant][0]!);
	checkPair({ device: meant, forward: way });
	return {
		device: meant,
		forward: way,
		wire: known('wire', WIRES, wire ?? byTier.wire),
		...Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined)),
	};
}

function known<T extends string>(what: string, words: readonly T[], word: string): T {
	const found = words.find((one) => one === word);
	if (found) return found;
	throw new PathproofError(`"${word}" is no ${what} of a lab`, {
		stage: 'usage',
		hint: `use one of ${words.join(', ')}`,
	});
}
