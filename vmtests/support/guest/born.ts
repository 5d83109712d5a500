/** Containers that are made while their owner is waiting for the device already; and what of that owner's frames got anywhere. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerRequest, Device, Forward } from '../../../impl/container.ts';
import { isIpvlan } from '../../../impl/devices/ipvlan.ts';
import { ensureLoaded } from '../../../impl/forward/datapath.ts';
import { addContainer, removeContainer } from '../../../impl/net.ts';
import type { Step } from '../../../impl/step.ts';
import { GUEST_HOME } from '../../../kernels/agent/protocol.ts';
import type { Round } from './born-sender.ts';
import { explained } from './explain.ts';
import { makeTenant } from './lab.ts';
import { dropsNow, dropsSince, type End, readWitness, settled, startWitness, type Witnessed } from './witness.ts';

const NAME = 'late';
const OWN = { ipv6: '2001:db8:0:2::20', ipv4: '198.51.100.20' };
/** Nobody's: what a frame from here that comes anywhere has passed no policy. */
const SPOOFED = '2001:db8:0:66::66';
const OVER = '/run/round-is-over';

/** How the steps of `addContainer` are done: in their order, or as one does them who does not take care. */
export type Order = 'as planned' | 'out of order';

export interface Birth extends Round {
	seen: Witnessed[];
	/** frames under way when all was read */
	underWay: number;
	/** by device and reason, by the datapath's own count */
	drops: Record<string, number>;
}

interface Owner {
	process: ChildProcessWithoutNullStreams;
	lines: AsyncIterator<string>;
	/** standard error */
	log: string;
}

let owner: Owner | undefined;

/** A container that is added while its owner sends `frames` (hexadecimal) by its eth0 from the first instant on; and then removed. */
export function bear(device: Device, forward: Forward, order: Order, frames: readonly string[]): Promise<Birth> {
	return explained(async () => {
		owner ??= await startOwner();
		// programs that come with the container would not be known by their verdicts
		if (isIpvlan(device)) ensureLoaded('ipvlan');
		await startWitness({ netns: NAME, ...OWN });
		rmSync(OVER, { force: true });
		owner.process.stdin.write(`${JSON.stringify(frames)}\n`);
		await answer('waiting', owner);
		const request: ContainerRequest = {
			name: NAME,
			device,
			forward,
			...OWN,
			netns: NAME,
			tenant: NAME,
			uplinks: [{ device: 'eth0', ipv6NextHop: '2001:db8:0:1::2', ipv4NextHop: '192.0.2.2' }],
		};
		const before = dropsNow();
		try {
			if (order === 'as planned') await addContainer(request);
			else await carryOutOfOrder(await addContainer(request, { dryRun: true }));
			await untilSome((end) => end !== 'sent' && end !== 'other');
		} finally {
			writeFileSync(OVER, '');
		}
		const round = (await answer('attempts', owner)) as Round;
		const { seen, underWay } = await settled();
		const drops = dropsSince(before);
		await removeContainer(NAME);
		return { ...round, seen, underWay, drops };
	});
}

/**
 * The very steps, with those that attach programs behind those that let packets through: a pair is up, a netkit forwards, a slave has
 * moved, and on a slave that has moved nothing can be attached from here any more. Before them is time for a packet to pass: a device
 * whose other end has come up sends up to a second later (net/core/link_watch.c).
 */
async function carryOutOfOrder(steps: readonly Step[]): Promise<void> {
	const attaches = ({ what }: Step) => what.startsWith('attach ');
	for (const step of steps.filter((step) => !attaches(step))) await step.run();
	await untilSome((end) => PASSED.includes(end));
	for (const step of steps.filter(attaches)) if (!step.what.startsWith('attach slave_')) await step.run();
}

const PASSED: readonly End[] = ['stack', 'left', 'left foreign'];

/** Or for ten seconds. */
async function untilSome(is: (end: End) => boolean): Promise<void> {
	for (let tries = 0; tries < 200; tries++) {
		if ((await readWitness()).seen.some(({ end }) => is(end))) return;
		await sleep(50);
	}
}

async function startOwner(): Promise<Owner> {
	const pid = await makeTenant(NAME);
	const program = [`${GUEST_HOME}/bin/node`, `${GUEST_HOME}/payload/vmtests/support/guest/born.mjs`, SPOOFED, OVER];
	const words = ['--target', String(pid), '--user', '--net', '--', ...program];
	const process = spawn('nsenter', words, { stdio: ['pipe', 'pipe', 'pipe'] });
	const started: Owner = {
		process,
		lines: createInterface({ input: process.stdout })[Symbol.asyncIterator](),
		log: '',
	};
	process.stderr.on('data', (text) => {
		started.log += text;
	});
	await answer('ready', started);
	return started;
}

async function answer(word: string, from: Owner): Promise<unknown> {
	const { value } = await from.lines.next();
	const said = value === undefined ? {} : (JSON.parse(value) as object);
	if (word in said) return said;
	throw new Error(`the owner of ${NAME} said ${value ?? `nothing, and ended: ${from.log}`}`);
}
