/** `pathproof trace`: one stimulus, and the path it took. */
import { type Command, Option } from 'commander';
import type { Lab } from './lab.ts';
import { LAB_DEVICES, LAB_FORWARDS, type LabWords } from './lab-words.ts';
import type { Trace } from './trace/trace.ts';

/** What can be sent from the container to the peer, and how. */
export const STIMULI: Record<string, { send(lab: Lab): Promise<Trace>; what: string }> = {
	ping: { send: ({ web, peer }) => web.ping(peer), what: 'an ICMPv6 echo request and its reply' },
	udp: { send: ({ web, peer }) => web.udp(peer, 53), what: 'one datagram to port 53' },
	'udp-closed': { send: ({ web, peer }) => web.udp(peer, 53, { listen: false }), what: 'one that nobody listens for' },
	curl: { send: ({ web, peer }) => web.curl(peer), what: 'one HTTP request over a connection of its own' },
};

interface Options extends Partial<LabWords> {
	kernel?: string;
	stimulus: string;
	json?: boolean;
}

const DEVICE_HELP = "the container's device; veth without, netkit where the kernel has no modules";

export function register(program: Command): void {
	const stimuli = Object.entries(STIMULI).map(([name, { what }]) => `${name} (${what})`);
	program
		.command('trace')
		.description(
			'Send one stimulus from a container to a peer beyond its host, and show the path that each packet took.',
		)
		.option('--kernel <kernel>', 'one kernel: 6.12, 6.12.95, a build tree; the newest default without')
		.addOption(new Option('--device <device>', DEVICE_HELP).choices(LAB_DEVICES))
		.addOption(
			new Option('--forward <forward>', 'how its packets pass the host').choices(LAB_FORWARDS).default('redirect'),
		)
		.addOption(new Option('--stimulus <stimulus>', stimuli.join(', ')).choices(Object.keys(STIMULI)).default('ping'))
		.option('--json', 'print one JSON document: fixtures/schemas/trace.json')
		.action(trace);
}

async function trace({ kernel: selector, device, forward, stimulus, json }: Options): Promise<void> {
	// Not imported above: --help needs none of it.
	const [{ chooseKernel, Session }, { toTraceDocument }, { listRoute }, { toTerminal }] = await Promise.all([
		import('./session.ts'),
		import('./trace-document.ts'),
		import('./tour/plain.ts'),
		import('./tour/line.ts'),
	]);
	const kernel = await chooseKernel(selector);
	await using session = await Session.open();
	const lab = await session.lab(kernel, { device, forward });
	const taken = await STIMULI[stimulus]!.send(lab);
	if (json) return console.log(JSON.stringify(toTraceDocument(lab, taken)));
	const { options } = lab.state;
	const title = `${options.device} ${options.forward}`;
	console.log(`linux ${lab.vm.kernel.id} (${lab.vm.accel}), ${title}, ${stimulus}:`);
	for (const packet of taken.packets) {
		console.log();
		for (const line of listRoute(title, packet)) console.log(toTerminal(line));
	}
}
