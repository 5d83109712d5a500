/** `pathproof trace`: what is sent, and the path that each packet took; in a lab, or on this host. */
import { type Command, Option } from 'commander';
import { PathproofError } from '../../kernels/errors.ts';
import { checkPair, LAB_DEVICES, LAB_FORWARDS, type LabWords } from './lab-words.ts';
import { STIMULI } from './stimuli.ts';
import { FILTER_GRAMMAR } from './trace/filter.ts';

export interface TraceOptions extends Partial<LabWords> {
	kernel?: string;
	stimulus: string;
	filter?: string;
	container?: string;
	live?: boolean;
	follow?: boolean;
	whyDropped?: boolean;
	raw?: boolean;
	pcap?: string;
	json?: boolean;
}

const DEVICE_HELP = "the container's device; veth without, netkit where the kernel has no modules";
const FORWARD_HELP = 'how its packets pass the host; redirect without, native where the device leaves no choice';
const STDOUT = '-';

export function register(program: Command): void {
	const stimuli = Object.entries(STIMULI).map(([name, { what }]) => `${name} (${what})`);
	program
		.command('trace')
		.description(
			'Send something from a container to a peer beyond its host, and show the path that each packet took. With --live, show those of this host, on its own kernel.',
		)
		.argument(
			'[command...]',
			'behind --: what to run in the container in place of a stimulus; the peer is 2001:db8:0:1::2 and 192.0.2.2',
		)
		.option('--kernel <kernel>', 'one kernel: 6.12, 6.12.95, a build tree; the newest default without')
		.addOption(new Option('--device <device>', DEVICE_HELP).choices(LAB_DEVICES))
		.addOption(new Option('--forward <forward>', FORWARD_HELP).choices(LAB_FORWARDS))
		.addOption(new Option('--stimulus <stimulus>', stimuli.join(', ')).choices(Object.keys(STIMULI)).default('ping'))
		.addOption(
			new Option('--live', 'trace this host, as root, while COMMAND runs on it, or until Ctrl-C').conflicts([
				'kernel',
				'device',
				'forward',
				'stimulus',
			]),
		)
		.option('--filter <words>', `only such packets: ${FILTER_GRAMMAR}, e.g. 'udp port 53'`)
		.option('--container <name>', 'only packets that were in this netns, where COMMAND runs too')
		.option('--why-dropped', 'only packets that were not delivered: where they ended, and what the reason means')
		.option('--raw', 'below each packet all that was seen of it')
		.option('--pcap <file>', 'write a pcapng as well, a packet for each hop with the hop as its comment; - for stdout')
		.addOption(
			new Option('--follow', 'print packets as they finish, until Ctrl-C or the end of COMMAND').conflicts([
				'json',
				'pcap',
				'stimulus',
			]),
		)
		.option('--json', 'print one JSON document: fixtures/schemas/trace.json; live.json with --live')
		.action(trace);
}

async function trace(command: string[], options: TraceOptions, self: Command): Promise<void> {
	checkCall(command, options, self.getOptionValueSource('stimulus') === 'cli');
	// Not imported above: --help needs none of it.
	const { runTrace } = await import('./trace-run.ts');
	await runTrace(command, options);
}

/** What commander cannot tell: it knows nothing of what stands behind `--`. Throws a PathproofError (`usage`). */
function checkCall(
	command: readonly string[],
	{ device, forward, follow, live, pcap, json }: TraceOptions,
	stimulus: boolean,
): void {
	const refuse = (message: string, hint: string): never => {
		throw new PathproofError(message, { stage: 'usage', hint });
	};
	if (device && forward) checkPair({ device, forward });
	if (command.length && stimulus) refuse('a stimulus and a command are given', 'leave one of them out');
	if (follow && !live && !command.length)
		refuse(
			'--follow is for what goes on for a while: a command, or this host',
			'pathproof trace --follow -- ping -c 3 2001:db8:0:1::2',
		);
	if (json && pcap === STDOUT) refuse('--json and --pcap - are both for stdout', '--pcap FILE');
}
