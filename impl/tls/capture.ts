/** For tests: what tcpdump sees of a device of a private host. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { PrivateHost } from './private-host.ts';

/** Null: it is here. */
export function lacksTcpdump(): string | null {
	return spawnSync('tcpdump', ['--version']).error ? 'needs tcpdump' : null;
}

export class Capture implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #chunks: Buffer[] = [];

	/** `words`: of tcpdump, which are a direction, a format and a filter. */
	static async start(host: PrivateHost, netns: string, device: string, ...words: string[]): Promise<Capture> {
		// as root: else it writes as a user of its own
		const options = ['-Z', 'root', '--immediate-mode', '-U', '-n', '-i', device];
		const child = host.spawn(['tcpdump', ...options, ...words], { netns });
		const said: string[] = [];
		const output = createInterface(child.stderr!).on('line', (line) => said.push(line));
		while (!said.some((line) => line.includes('listening on'))) {
			const [line] = await Promise.race([once(output, 'line'), once(output, 'close')]);
			if (line === undefined) throw new Error(`tcpdump of ${device} in ${netns} has ended: ${said.join('\n')}`);
		}
		return new Capture(child);
	}

	private constructor(child: ChildProcess) {
		this.#child = child;
		child.stdout!.on('data', (bytes) => this.#chunks.push(bytes));
	}

	/** All that it has printed by now; with `-w -` these are the frames. */
	get bytes(): Buffer {
		return Buffer.concat(this.#chunks);
	}

	get lines(): string[] {
		return this.bytes.toString('latin1').split('\n').slice(0, -1);
	}

	/** What it has seen is printed by then. */
	async [Symbol.asyncDispose](): Promise<void> {
		const closed = once(this.#child, 'close');
		this.#child.kill('SIGINT');
		await closed;
	}
}
