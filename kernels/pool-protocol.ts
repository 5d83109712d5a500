/** What a pool and its clients ask of each other. */
import type { PathproofError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import type { Accel, Profile } from './vm.ts';
import type { Nics } from './wire.ts';

/** Which machine: each is booted once. */
export interface MachineRequest {
	/** a kernel's id, or the path of a build tree */
	kernel: string;
	/** `functional` without */
	profile?: Profile;
	/** virtio-net NICs, joined in pairs outside the guest: see wire.ts; none without. A lab and its forks name the same number */
	nics?: Nics;
}

export interface ForkRequest extends MachineRequest {
	/** key of a lab's template, which must be there; the bare kernel without */
	lab?: string;
}

export interface ForkGrant {
	id: number;
	kernel: Kernel;
	accel: Accel;
	profile: Profile;
	/** milliseconds from asking, with the template there, to a running guest */
	waitMs: number;
	qemuPid: number;
	/** what the lab's builder left */
	data: unknown;
}

export interface LabRequest extends MachineRequest {
	/** key of everything the lab is made of, but for its kernel */
	lab: string;
	/** key of the lab that it is built on, which must be there; the bare kernel without */
	on?: string;
	/** its name for people: `netkit-l3 redirect` */
	what?: string;
}

/** The lab's data where it is there; else the guest to build it in. */
export type LabGrant = { data: unknown } | { build: ForkGrant };

type PlainError = ReturnType<PathproofError['toJSON']>;

export interface PoolFunctions {
	fork(request: ForkRequest): Promise<ForkGrant>;
	lab(request: LabRequest): Promise<LabGrant>;
	/** The lab is built: save its guest as the template. The fork is gone afterwards. */
	saveLab(id: number, data: unknown): Promise<void>;
	abandonLab(id: number, error: PlainError): Promise<void>;
	/** Save a fork whole, for `pathproof shell --from NAME`. It stays paused. */
	keep(id: number, name: string): Promise<void>;
	/** The kept fork of this name, running again. */
	resume(name: string): Promise<ForkGrant>;
	release(id: number): Promise<void>;
	console(id: number): Promise<string>;
	/** What the guest's kernel complained of since the fork, or null. */
	health(id: number): Promise<PlainError | null>;
	/** A QMP command, for tests of bad days. */
	qmp(id: number, command: string, args?: Record<string, unknown>): Promise<unknown>;
}

export interface PoolEvents {
	/** A fork ended before it was released. */
	gone(id: number, error: PlainError): void;
}
