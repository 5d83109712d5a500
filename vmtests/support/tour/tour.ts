/** The tour: labs on each device, a packet traced each way, and real traffic over them. */
import { PathproofError } from '../../../kernels/errors.ts';
import { guestFiles } from '../../../kernels/initramfs.ts';
import { progress } from '../../../kernels/progress.ts';
import { getKernel } from '../../../kernels/pull.ts';
import type { Lab } from '../lab.ts';
import type { ProvidedKernel } from '../provided.ts';
import { type TourDocument, tourDocument } from '../schema.ts';
import { chooseKernel, Session } from '../session.ts';
import { formatPacket, type Trace } from '../trace.ts';
import { toTraceDocument } from '../trace-document.ts';
import type { Device, Forward } from '../types.ts';
import { type Line, span, toTerminal } from './line.ts';
import { showComparison } from './show.ts';
import { drive, type Traffic } from './traffic.ts';
import { showTraffic } from './traffic-table.ts';

/** Two ways of forwarding on each device: what is shown, beside what it is compared with. */
const STOPS: readonly Device[] = ['netkit-l3', 'veth'];
const WAYS = ['redirect', 'stack'] as const satisfies readonly Forward[];

/** A lab, and the ping that was traced in it. */
interface Visit {
	lab: Lab;
	trace: Trace;
}

type Visits = Record<(typeof WAYS)[number], Visit>;

export async function tour({ kernel: selector, json }: { kernel?: string; json?: boolean }): Promise<void> {
	const show = json ? () => {} : (lines: readonly Line[]) => print(lines);
	const kernel = await chooseKernel(selector);
	const here = await stage(`linux ${kernel.id}`, () => getKernel(kernel.request), 'is here');
	await stage('guest root', () => guestFiles(here), 'is here');
	let note = (_text: string): void => {};
	await using session = await Session.open((text) => note(text));
	const noting = (tell: (text: string) => void) => {
		note = tell;
	};
	await stage(
		'boot',
		() => forkOnce(session, kernel, noting),
		(ms) => `forks in ${ms} ms`,
	);
	const visited: Visits[] = [];
	const lacking: TourDocument['lacking'] = [];
	for (const device of STOPS) {
		try {
			const visits = await visit(session, kernel, device, show);
			visited.push(visits);
			const [redirect, stack] = WAYS.map((way) => visits[way].trace);
			show(showComparison({ device, redirect: redirect!, stack: stack! }, columns()));
		} catch (error) {
			if (!isLack(error)) throw error;
			lacking.push({ device, why: error.shortMessage });
			show([[], [span(`no ${device} on linux ${kernel.id}: `, 'bad'), span(error.shortMessage)]]);
		}
	}
	if (!visited.length) throw nothingRuns(kernel, lacking);
	const traffic = await stage('ping, curl and iperf3', () => driveAll(visited), 'have run');
	if (json) console.log(JSON.stringify(toDocument(visited, traffic, lacking)));
	else show([...showTraffic(traffic, visited[0]!.redirect.lab.vm.accel), ...WHAT_NEXT]);
}

const WHAT_NEXT: readonly Line[] = [
	[],
	[
		span('next: ', 'title'),
		span('npx pathproof trace --stimulus curl', 'program'),
		span('   the packets of one HTTP request'),
	],
	[span('      '), span('npx pathproof shell', 'program'), span('                   a shell in such a lab')],
	[
		span('      '),
		span('npm test', 'program'),
		span('                              the suites, on the default kernels'),
	],
];

/** Runs one stage, and says on stderr how long it took. */
async function stage<T>(title: string, act: () => Promise<T>, words: string | ((result: T) => string)): Promise<T> {
	const task = progress.start(title);
	try {
		const result = await act();
		task.done(typeof words === 'string' ? words : words(result));
		return result;
	} catch (error) {
		task.done('failed');
		throw error;
	}
}

/** Boots the kernel where no snapshot of it is there. Answers how long a fork took, ms. */
async function forkOnce(
	session: Session,
	kernel: ProvidedKernel,
	noting: (tell: (text: string) => void) => void,
): Promise<number> {
	noting((text) => process.stderr.write(`  ${text}\n`));
	await using vm = await session.vm(kernel);
	noting(() => {});
	return Math.round(vm.waitMs);
}

async function visit(
	session: Session,
	kernel: ProvidedKernel,
	device: Device,
	show: (lines: readonly Line[]) => void,
): Promise<Visits> {
	const visits: Partial<Visits> = {};
	for (const forward of WAYS) {
		const one = await stage(`lab ${device} ${forward}`, () => pingIn(session, kernel, device, forward), 'traced');
		const [first] = one.trace.out;
		if (forward === 'redirect' && first) show([[span(formatPacket(first), 'detail')]]);
		visits[forward] = one;
	}
	return visits as Visits;
}

async function pingIn(session: Session, kernel: ProvidedKernel, device: Device, forward: Forward): Promise<Visit> {
	const lab = await session.lab(kernel, { device, forward });
	return { lab, trace: await lab.web.ping(lab.peer) };
}

export interface Driven {
	device: Device;
	forward: Forward;
	traffic: Traffic;
}

async function driveAll(visited: readonly Visits[]): Promise<Driven[]> {
	const driven: Driven[] = [];
	for (const visits of visited) {
		for (const way of WAYS) {
			const { web, peer, state } = visits[way].lab;
			driven.push({ device: state.options.device, forward: state.options.forward, traffic: await drive(web, peer) });
		}
	}
	return driven;
}

/** The kernel does not do it; as against a machine or a guest that failed. */
function isLack(error: unknown): error is PathproofError {
	return error instanceof PathproofError && error.stage === 'call';
}

function nothingRuns(kernel: ProvidedKernel, lacking: TourDocument['lacking']): PathproofError {
	return new PathproofError(
		`no lab can be built: ${lacking.map(({ device, why }) => `${device}: ${why}`).join('; ')}`,
		{
			stage: 'call',
			kernel: kernel.id,
			hint: 'npx pathproof tour --kernel 7.3',
		},
	);
}

/** The first trace's document, and all of them within it. */
function toDocument(
	visited: readonly Visits[],
	driven: readonly Driven[],
	lacking: TourDocument['lacking'],
): TourDocument {
	const traces = visited.flatMap((visits) => WAYS.map((way) => toTraceDocument(visits[way].lab, visits[way].trace)));
	const traffic = driven.map(({ traffic: said, ...lab }) => ({ ...lab, ...said }));
	return tourDocument.parse({ ...traces[0], traces, traffic, lacking });
}

/** The terminal's width; none without one, so that a log gets plain lines. */
function columns(): number {
	return process.stdout.isTTY ? process.stdout.columns : 0;
}

function print(lines: readonly Line[]): void {
	for (const line of lines) console.log(toTerminal(line));
}
