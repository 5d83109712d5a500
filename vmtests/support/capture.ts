/** What tcpdump prints of a device while something happens: the frames themselves, where a trace has the way that packets took. */
import type { Node } from './nodes.ts';

/** `words`: after `tcpdump -lnn`, e.g. `-i eth0 -vv udp`. `act` ends when all that it sent was received, or was meant not to be. */
export async function captured(node: Node, words: string, act: () => Promise<unknown>): Promise<string> {
	await using capture = await node.spawn(['tcpdump', '--immediate-mode', '-lnn', ...words.split(' ')]);
	await capture.waitFor(/listening on/, 30_000);
	await act();
	// what is under way arrives, and is printed
	await node.exec(['sleep', '0.4']);
	await capture.kill('SIGINT');
	return (await capture.ended).stdout;
}

/** Of the frames that `-e` shows, bytes with their Ethernet header. */
export function frameLengths(printed: string): number[] {
	return Array.from(printed.matchAll(/, length (\d+): /g), ([, length]) => Number(length));
}
