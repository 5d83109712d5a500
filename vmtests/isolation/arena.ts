/**
 * Where the attacks of this chapter are fought: a container `web` of tenant red, whose owner is root with all capabilities in its user and
 * network namespace; `api` of tenant blue beside it, on the same host; and the peer beyond the wire. Each attack is told by its frames,
 * which say so in a nonce, so that everybody can be asked whether they got it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, type Lab, type LabRequest } from 'pathproof';
import type { Reason } from '../../impl/forward/reasons.ts';
import type { FeatureName } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import { buildFrame, type FrameOptions, NO_MAC, type PacketOptions } from '../support/frames.ts';
import type { SenderOptions } from '../support/guest/frames.ts';
import { type Ear, listenOn, listenToPort, openSender, type Sender } from '../support/sender.ts';
import { turn } from '../support/turns.ts';
import type { Device, DropCount, Forward } from '../support/types.ts';

export const PORT = 9;
export const WHO = ['peer', 'api', 'host', 'api socket', 'host socket'] as const;
/** The first three hear frames as tcpdump does; `host` at the device of web, where the guard is yet to come. Sockets hear what an IP stack gives them. */
export type Who = (typeof WHO)[number];

export interface Attack {
	/** what a container cannot do */
	title: string;
	shots(arena: Arena, nonce: (shot: number) => string): FrameOptions[];
	/** a frame after it was built: cut short, or with something before it */
	reshape?: (frame: Buffer) => Buffer;
	socket?: Omit<SenderOptions, 'device'>;
	/**
	 * Why its frames are dropped: one word for all of them, or one for each, none where the kernel drops them itself. At the gate of the device, where no other place stands before
	 * the word: `host:eth0 SPOOFED_SOURCE`.
	 */
	verdict: Verdict | Verdict[] | ((device: Device) => Verdict | Verdict[]);
	/** who hears it without the guard; a sentence: why nobody does */
	control: Control | ((device: Device) => Control);
	/** on these alone */
	on?: readonly Device[];
}

export type Verdict = Reason | `${string}:${string} ${Reason}`;
/** A sentence is told from a listener by its blanks. */
export type Control = Who | `${string} ${string} ${string}`;

/** What became of an attack. */
export interface Outcome {
	/** `host:web SPOOFED_SOURCE` → 2 */
	drops: Record<string, number>;
	heard: Who[];
	/** of the sender's socket */
	errors: string[];
}

export interface Macs {
	own: string;
	/** of web's gateway: the host end, or of an ipvlan slave the peer */
	gateway: string;
	api: string;
}

export class Arena {
	readonly lab: Lab;
	readonly device: Device;
	readonly macs: Macs;
	readonly #ears: Record<Who, Ear>;
	readonly #senders = new Map<string, Promise<Sender>>();

	static async open(lab: Lab): Promise<Arena> {
		const { web, host, vm } = lab;
		const { device } = lab.state.options;
		const mac = async (node: Lab['web'], name: string) =>
			(JSON.parse((await node.exec(['ip', '-j', 'link', 'show', name])).stdout) as { address: string }[])[0]!.address;
		const pair = !device.startsWith('ipvlan');
		const macs =
			device === 'netkit-l3'
				? { own: NO_MAC, gateway: NO_MAC, api: NO_MAC }
				: {
						own: await mac(web, 'eth0'),
						gateway: pair ? await mac(host, 'web') : await mac(lab.peer, 'eth0'),
						api: await mac(lab.api, 'eth0'),
					};
		return new Arena(lab, macs, {
			peer: await listenOn(vm, 'peer', 'eth0'),
			api: await listenOn(vm, 'api', 'eth0'),
			host: await listenOn(vm, null, pair && lab.state.options.guard === false ? 'web' : 'lo'),
			'api socket': await listenToPort(vm, 'api', PORT),
			'host socket': await listenToPort(vm, null, PORT),
		});
	}

	constructor(lab: Lab, macs: Macs, ears: Record<Who, Ear>) {
		this.lab = lab;
		this.device = lab.state.options.device;
		this.macs = macs;
		this.#ears = ears;
	}

	get isPair(): boolean {
		return !this.device.startsWith('ipvlan');
	}

	/** The frame that carries a packet as this device would send it. `to`: the MAC of an ipvlan slave's next hop, its gateway's without. */
	frame(packet: PacketOptions, to = this.macs.gateway): FrameOptions {
		return { from: this.macs.own, to, payload: packet };
	}

	/** Where a slave finds what is on this host: at its own address, which is the uplink's. */
	get localMac(): string {
		return this.isPair ? this.macs.gateway : this.macs.own;
	}

	/** Of AF_XDP sockets a device has one for each queue. */
	#senderFor(socket: NonNullable<Attack['socket']>): Promise<Sender> {
		const key = JSON.stringify(socket);
		const opened = this.#senders.get(key) ?? openSender(this.lab.web, { device: 'eth0', ...socket });
		this.#senders.set(key, opened);
		return opened;
	}

	/** Commits it, and waits a moment for what becomes of it: less, once so many drops are counted or this one has heard it. */
	async commit(attack: Attack, index: number, expected: { drops?: number; heard?: Who | null } = {}): Promise<Outcome> {
		const nonce = (shot: number) => `<${index}/${shot}>`;
		const shots = attack.shots(this, nonce);
		const frames = shots.map((shot) => (attack.reshape ?? ((frame: Buffer) => frame))(buildFrame(shot)));
		const sender = await this.#senderFor(attack.socket ?? {});
		const before = await this.lab.drops();
		const errors = (await sender.send(frames)).filter((error) => error !== null);
		const heard = new Map<Who, number>();
		const mark = `<${index}/`;
		let drops: Record<string, number> = {};
		for (let tries = 0; tries < 12; tries++) {
			drops = difference(before, await this.lab.drops());
			for (const who of WHO)
				for (const bytes of await this.#ears[who].heard())
					if (bytes.includes(mark)) heard.set(who, (heard.get(who) ?? 0) + 1);
			const enough = expected.drops
				? Object.values(drops).reduce((sum, count) => sum + count, 0) >= expected.drops
				: expected.heard && heard.has(expected.heard);
			if (enough && tries > 0) break;
			await sleep(20);
		}
		return { drops, heard: WHO.filter((who) => heard.has(who)), errors: [...new Set(errors)] };
	}

	/** The frames that the peer got since it was last asked. */
	heardAtPeer(): Promise<Buffer[]> {
		return this.#ears.peer.heard();
	}

	/** `host:web SPOOFED_SOURCE`: how often it has been counted. */
	async dropsAt(place: Verdict): Promise<number> {
		return (await this.lab.drops()).find(({ at, reason }) => `${at} ${reason}` === place)?.count ?? 0;
	}

	/** What has to become of it where the guard is up. */
	verdictOf(attack: Attack): Outcome['drops'] {
		const verdict = typeof attack.verdict === 'function' ? attack.verdict(this.device) : attack.verdict;
		const shots = attack.shots(this, () => '').length;
		const each = Array.isArray(verdict) ? verdict : Array<Verdict>(shots).fill(verdict);
		const drops: Outcome['drops'] = {};
		for (const one of each) {
			const place = one.includes(' ') ? one : `${gate(this.device)} ${one}`;
			drops[place] = (drops[place] ?? 0) + 1;
		}
		return Object.fromEntries(Object.entries(drops).sort(([a], [b]) => (a < b ? -1 : 1)));
	}

	/** What became of it where nobody judges; `null`: nobody is to hear of it. */
	controlOf({ control }: Attack): Who | null {
		const word = typeof control === 'function' ? control(this.device) : control;
		return WHO.find((who) => who === word) ?? null;
	}

	/** Throws where it does not end as it has to. What the containers' own kernels say meanwhile is dropped too: then it is tried again. */
	async repel(attack: Attack, index: number): Promise<void> {
		const drops = this.verdictOf(attack);
		const count = Object.values(drops).reduce((sum, one) => sum + one, 0);
		for (let tries = 0; ; tries++) {
			const outcome = await this.commit(attack, index, { drops: count });
			const quiet = Object.entries(drops).every(([place, one]) => outcome.drops[place] === one);
			if (!quiet && !outcome.heard.length && tries < 2) continue;
			expect.soft(outcome, attack.title).toMatchObject({ drops, heard: [] });
			return;
		}
	}

	/** Throws where it does not succeed: what is not guarded has to be open. */
	async suffer(attack: Attack, index: number): Promise<void> {
		const who = this.controlOf(attack);
		const { drops, heard } = await this.commit(attack, index, { heard: who });
		expect.soft(drops, `without the guard: ${attack.title}`).toEqual({});
		if (who) expect.soft(heard, `without the guard: ${attack.title}`).toContain(who);
		// the host's device may have got it: what its stack made of it is what counts
		else
			expect
				.soft(
					heard.filter((one) => one !== 'host'),
					`without the guard: ${attack.title}`,
				)
				.toEqual([]);
	}
}

function difference(before: readonly DropCount[], after: readonly DropCount[]): Record<string, number> {
	const was = (one: DropCount) => before.find(({ at, reason }) => at === one.at && reason === one.reason)?.count ?? 0;
	return Object.fromEntries(
		after
			.map((one) => [`${one.at} ${one.reason}`, one.count - was(one)] as const)
			.filter(([, more]) => more > 0)
			.sort(([a], [b]) => (a < b ? -1 : 1)),
	);
}

/** A control by the kind of device. */
export function controls(of: { pair: Control; l2: Control; l3: Control }): (device: Device) => Control {
	return (device) => (device === 'ipvlan-l2' ? of.l2 : device.startsWith('ipvlan') ? of.l3 : of.pair);
}

/** Two tenants that nobody allows each other. */
export function arenaRequest(device: Device, forward: Forward, guard: boolean): LabRequest {
	return {
		device,
		forward,
		containers: { web: { tenant: 'red' }, api: { tenant: 'blue' } },
		userns: true,
		...(guard ? {} : { guard: false }),
	};
}

/** A slave's guards are links that only kernels with TCX have: elsewhere no ipvlan container is made that is to be guarded. */
export const IPVLAN = ['ipvlan', 'tcx'] as const;

/** What is tried once for each device; by default one of each kind, and by several kernels in turns. */
export const DEVICES: readonly { device: Device; forward: Forward; needs: readonly FeatureName[]; tags: string[] }[] = (
	[
		{ device: 'veth', forward: 'redirect', needs: ['veth'], turn: 0 },
		{ device: 'netkit-l2', forward: 'redirect', needs: ['netkit'] },
		{ device: 'netkit-l3', forward: 'stack', needs: ['netkit'], turn: 0 },
		{ device: 'ipvlan-l2', forward: 'native', needs: IPVLAN, turn: 1 },
		{ device: 'ipvlan-l3', forward: 'native', needs: IPVLAN },
		{ device: 'ipvlan-l3s', forward: 'native', needs: IPVLAN },
	] as const
).map(({ device, forward, needs, ...more }) => ({
	device,
	forward,
	needs,
	...('turn' in more ? turn(more.turn, ...needs) : { tags: [FULL] }),
}));

/** The hop where a container's packets are judged first. */
export function gate(device: Device): string {
	return device.startsWith('ipvlan') ? 'web:eth0' : 'host:web';
}
