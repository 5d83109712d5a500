/** What is on the wire between host and peer. */
import { TERMINATOR, type TlsScene } from './scene.ts';

const PCAP = '/run/wire.pcap';

/** All that is on it while `act` runs. */
export async function captured({ on: { vm } }: TlsScene, act: () => Promise<unknown>): Promise<Buffer> {
	const capture = await vm.spawn(['tcpdump', '-U', '--immediate-mode', '-s0', '-i', 'eth0', '-w', PCAP], {
		netns: 'peer',
	});
	await capture.waitFor(/listening on/);
	await act();
	await capture.kill('SIGINT');
	await capture.ended;
	return vm.readFile(PCAP);
}

/** Of what was captured last: who spoke TCP or UDP to whom, as `from > to.port`, each once. */
export async function talksWith({ on: { vm } }: TlsScene): Promise<string[]> {
	const { stdout } = await vm.exec(['tcpdump', '-nr', PCAP, 'tcp or udp'], { timeout: 120_000 });
	const ends = stdout.matchAll(/ IP6? (\S+)\.(\d+) > (\S+)\.(\d+):/g);
	return [
		...new Set(
			[...ends].map(([, from, fromPort, to, toPort]) =>
				to === TERMINATOR.host ? `${from} > ${to}.${toPort}` : `${to} > ${from}.${fromPort}`,
			),
		),
	];
}
