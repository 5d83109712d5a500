/** The tour: labs on each device, a packet traced each way, and real traffic over them. */
import { PathproofError } from '../../../kernels/errors.ts';
import { guestFiles } from '../../../kernels/initramfs.ts';
import { type Progress, progress, type Task } from '../../../kernels/progress.ts';
import { getKernel } from '../../../kernels/pull.ts';
import type { Lab } from '../lab.ts';
import type { ProvidedKernel } from '../provided.ts';
import { type TourDocument, tourDocument } from '../schema/trace.ts';
import { chooseKernel, Session } from '../session.ts';
import type { Trace } from '../trace/trace.ts';
import { toTraceDocument } from '../trace-document.ts';
import type { Device, Forward } from '../types.ts';
import { type Line, span, toTerminal, wrap } from './line.ts';
import { PICTURE_WIDTH } from './route.ts';
import { showComparison } from './show.ts';
import { findStops, type Lack } from './stops.ts';
import { drive } from './traffic.ts';
import { type Driven, showTraffic } from './traffic-table.ts';

/** What is shown, beside what it is compared with. */
const WAYS = ['redirect', 'stack'] as const satisfies readonly Forward[];

const FIRST_ROUTE_WIDTH = PICTURE_WIDTH - 4;

/** A lab, and the ping that was traced in it. */
interface Visit {
	lab: Lab;
	trace: Trace;
}

type Visits = Record<(typeof WAYS)[number], Visit>;

export async function tour({ kernel: selector, json }: { kernel?: string; json?: boolean }): Promise<void> {
	const show = json ? () => {} : print;
	const kernel = await chooseKernel(selector);
	const here = await stage(`linux ${kernel.id}`, 'is here', () => getKernel(kernel.request));
	await stage('guest root', 'is here', (task) => guestFiles(here, within(task)));
	let booting: Task | undefined;
	await using session = await Session.open((text) => booting?.note(text));
	const { devices, lacking } = await stage('boot', forkTime, (task) => {
		booting = task;
		return lookAround(session, kernel);
	});
	show(lacking.flatMap(({ why }) => [[], [span(why, 'bad')]]));
	const visited: Visits[] = [];
	for (const device of devices) {
		const visits = await visit(session, kernel, device);
		visited.push(visits);
		show(
			showComparison({ device, redirect: visits.redirect.trace.packets, stack: visits.stack.trace.packets }, columns()),
		);
	}
	const [first] = visited;
	if (!first) throw nothingRuns(kernel, lacking);
	const traffic = await stage('ping, curl and iperf3', 'have run', () => driveAll(visited));
	if (json) console.log(JSON.stringify(toDocument(visited, traffic, lacking)));
	else show([...showTraffic(traffic, first.redirect.lab.vm.accel), ...WHAT_NEXT]);
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

/** Runs one stage, and says on stderr how it went and how long it took. */
async function stage<T>(
	title: string,
	words: string | ((result: T) => string),
	act: (task: Task) => Promise<T>,
): Promise<T> {
	const task = progress.start(title);
	try {
		const result = await act(task);
		task.done(typeof words === 'string' ? words : words(result));
		return result;
	} catch (error) {
		task.failed();
		throw error;
	}
}

/** In a bare fork of the kernel, which is booted where there is no snapshot of it: what devices it has, and how long the fork took. */
async function lookAround(session: Session, kernel: ProvidedKernel) {
	await using vm = await session.vm(kernel);
	return { ms: Math.round(vm.waitMs), ...(await findStops(vm)) };
}

/** What a stage is at, told as its own. */
function within(task: Task): Progress {
	const part: Task = { update: task.update, note: task.note, done: () => {}, failed: () => {} };
	return { start: () => part };
}

function forkTime({ ms }: { ms: number }): string {
	return `a fork of it ran in ${ms} ms`;
}

/** Both ways at a time; the one that is shown goes first. */
async function visit(session: Session, kernel: ProvidedKernel, device: Device): Promise<Visits> {
	const go = (forward: Forward) =>
		stage(`${device} ${forward}`, firstRoute, () => pingIn(session, kernel, device, forward));
	const [redirect, stack] = await Promise.all([go('redirect'), go('stack')]);
	return { redirect, stack };
}

/** Said as soon as it is known: the comparison waits for the other way. */
function firstRoute({ trace: { packets } }: Visit): string {
	const hops = packets[0]?.hops.map(({ hop }) => hop) ?? [];
	return `the first packet took\n${wrap(hops, ' →', FIRST_ROUTE_WIDTH)
		.map((line) => `    ${line}\n`)
		.join('')}   `;
}

async function pingIn(session: Session, kernel: ProvidedKernel, device: Device, forward: Forward): Promise<Visit> {
	const lab = await session.lab(kernel, { device, forward });
	return { lab, trace: await lab.web.ping(lab.peer) };
}

/** A device at a time, both of its labs at once: what is said of one is said beside the other. */
async function driveAll(visited: readonly Visits[]): Promise<Driven[]> {
	const driven: Driven[] = [];
	for (const visits of visited) {
		const labs = WAYS.map((way) => visits[way].lab);
		driven.push(...(await Promise.all(labs.map(driveOne))));
	}
	return driven;
}

async function driveOne({ web, peer, state }: Lab): Promise<Driven> {
	const { device, forward } = state.options;
	return { device, forward, traffic: await drive(web, peer) };
}

function nothingRuns(kernel: ProvidedKernel, lacking: readonly Lack[]): PathproofError {
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
function toDocument(visited: readonly Visits[], driven: readonly Driven[], lacking: readonly Lack[]): TourDocument {
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
