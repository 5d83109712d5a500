/**
 * For tests: a container of a private host, its forward proxy beside it, and a peer netns with the terminating one and what stands behind
 * it, joined by a wire. All real.
 *
 *     web's programs ─▶ forward proxy ═ eth0 ═══ TLS 1.3 ═══ eth0 ═▶ terminating proxy ─▶ 2001:db8:f::1, 203.0.113.1 (peer)
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Authority } from './authority.ts';
import { PrivateHost } from './private-host.ts';
import { type Files, issueFiles } from './scene.ts';

export const PROXY_PORT = 15_001;
const ADDRESSES = ['2001:db8:0:2::10', '198.51.100.10'] as const;
const UPLINK = 'eth0,2001:db8:0:1::2,192.0.2.2';
const TERMINATOR = { host: '2001:db8:0:1::2', port: 4433, serverName: 'terminator.example' };
export const NODE = [process.execPath, '--disable-warning=ExperimentalWarning'];
const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));
export const PROGRAM = [...NODE, script('program.ts')];

/** Both families on the wire, and behind the peer 2001:db8:f::/48 and 203.0.113.0/24, of which it has `many`. */
async function wire(host: PrivateHost, many: number): Promise<void> {
	await host.done(['ip', 'netns', 'add', 'peer']);
	await host.ip(`link add eth0 type veth peer name eth0 netns peer
addr add 2001:db8:0:1::1/64 dev eth0 nodad
addr add 192.0.2.1/24 dev eth0
link set eth0 up
route add 2001:db8:f::/48 via 2001:db8:0:1::2
route add 203.0.113.0/24 via 192.0.2.2
`);
	const behind = SIX.slice(0, many).map(
		(six, number) => `addr add ${six}/128 dev lo nodad\naddr add ${FOUR[number]}/32 dev lo\n`,
	);
	await host.ip(
		`link set lo up
addr add 2001:db8:0:1::2/64 dev eth0 nodad
addr add 192.0.2.2/24 dev eth0
link set eth0 up
route add 2001:db8:0:2::/64 via 2001:db8:0:1::1
route add 198.51.100.0/24 via 192.0.2.1
${behind.join('')}`,
		'peer',
	);
}

/** As many addresses of each family are behind the peer where that is asked for. */
export const MANY = 200;
export const SIX = Array.from({ length: MANY }, (_, number) => `2001:db8:f::${(number + 1).toString(16)}`);
export const FOUR = Array.from({ length: MANY }, (_, number) => `203.0.113.${number + 1}`);

/** What the terminating proxy prints of a flow of web's. */
export const opened = (protocol: 'tcp' | 'udp', destination: string) =>
	`{"event":"open","container":"web","protocol":"${protocol}","destination":"${destination}","refusal":null}`;

export class TurnedScene implements AsyncDisposable {
	readonly host: PrivateHost;
	/** what each end has printed */
	readonly told = { terminator: [] as string[], forward: [] as string[] };
	readonly #device: string | null;
	/** a process in the user namespace that owns web's netns */
	#owner: string | null = null;
	readonly #authority: Authority;
	readonly #files: Files;
	/** the forward proxy, once it was started */
	forward!: ChildProcess;

	/**
	 * With the container web, of both families, and without a policy. `many`: addresses of each family behind the peer. `device`: web has a
	 * netns of its own, joined by one, and its forward proxy is within; without, it shares the host's. `owned`: that netns is there before,
	 * and of a user namespace, whose root is none of the host's.
	 */
	static async make({
		many = 2,
		device = null,
		owned = false,
	}: {
		many?: number;
		device?: 'veth' | null;
		owned?: boolean;
	} = {}): Promise<TurnedScene> {
		const scene = new TurnedScene(await PrivateHost.make(), device);
		const { host } = scene;
		try {
			await wire(host, many);
			await scene.#end('terminator', { netns: 'peer' }, [], {
				role: 'terminate',
				listen: `[::]:${TERMINATOR.port}`,
				certificates: scene.#files.terminator,
				allow: ['2001:db8:f::/48', '203.0.113.0/24'],
			});
			if (owned) await scene.#makeOwner();
			await scene.addWeb();
			await scene.startForward();
			return scene;
		} catch (error) {
			await scene[Symbol.asyncDispose]();
			throw error;
		}
	}

	private constructor(host: PrivateHost, device: string | null) {
		this.host = host;
		this.#device = device;
		this.#authority = new Authority();
		this.#files = issueFiles(this.#authority);
	}

	async addWeb(): Promise<void> {
		const [six, four] = ADDRESSES;
		const netns = this.#owner ? ['--netns', 'web'] : [];
		const words = this.#device
			? ['--device', this.#device, '--forward', 'redirect', '--uplink', UPLINK, '--ipv6', six, '--ipv4', four, ...netns]
			: ['--mode', 'identity', '--ip', six, '--ip', four];
		await this.done('net', 'add', 'web', ...words);
	}

	/** In its own cgroup beside web, and where web has a netns, within that: below /sys it sees the host's. */
	async startForward(): Promise<void> {
		const listen = this.#device ? [`[${ADDRESSES[0]}]`, ADDRESSES[1]] : ['[::1]', '127.0.0.1'];
		this.forward = await this.#end(
			'forward',
			{ cgroup: 'proxy' },
			this.#device ? ['nsenter', '--net=/run/netns/web'] : [],
			{
				role: 'forward',
				terminator: TERMINATOR,
				certificates: this.#files.web,
				ways: listen.flatMap((address) =>
					['tcp', 'udp'].map((protocol) => ({ protocol, listen: `${address}:${PROXY_PORT}` })),
				),
			},
		);
	}

	async killForward(): Promise<void> {
		this.forward.kill('SIGKILL');
		await once(this.forward, 'exit');
	}

	/** `pathproof …`; throws where it fails. Answers what it printed. */
	async done(...words: string[]): Promise<string> {
		const { code, stdout, stderr } = await this.host.pathproof(...words);
		if (code === 0) return stdout;
		throw new Error(`pathproof ${words.join(' ')} ended with ${code}: ${stderr}`);
	}

	/** As `net tls flows` prints them. */
	async flows(): Promise<object[]> {
		return JSON.parse(await this.done('net', 'tls', 'flows', '--json')).flows as object[];
	}

	/** `net tls add` for web. */
	turn(to: string, port: number, ...more: string[]): Promise<string> {
		const proxy = ['--proxy', String(PROXY_PORT), '--proxy-cgroup', '/sys/fs/cgroup/proxy'];
		return this.done('net', 'tls', 'add', 'web', '--to', to, '--port', String(port), ...proxy, ...more);
	}

	/** A program of web's that ends by itself: what it printed. */
	async web(
		...words: string[]
	): Promise<{ peer?: string; address?: string; answer?: string; error?: string; answers?: Record<string, string> }> {
		const { stdout, stderr } = await this.host.run([...PROGRAM, ...words], this.place);
		if (stdout) return JSON.parse(stdout);
		throw new Error(stderr);
	}

	async #makeOwner(): Promise<void> {
		const lines: string[] = [];
		const holder = ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c', 'echo $$; exec cat'];
		await this.start(holder, { cgroup: 'owner' }, lines);
		this.#owner = lines[0]!;
		await this.host.done(['ip', 'netns', 'attach', 'web', this.#owner]);
	}

	/** Of commands, to be in front of: as root of the user namespace that owns web's netns, there. */
	get asOwner(): string[] {
		return ['nsenter', '--target', this.#owner!, '--user', '--net', '--preserve-credentials'];
	}

	/** Where web's programs are. */
	get place(): Parameters<PrivateHost['spawn']>[1] {
		return this.#device ? { netns: 'web' } : { cgroup: 'pathproof/web' };
	}

	/** A process that says when it is ready, by a line of JSON; and its further lines. */
	async start(words: readonly string[], place: Parameters<PrivateHost['spawn']>[1], lines: string[] = []) {
		const child = this.host.spawn(words, place);
		let errors = '';
		child.stderr!.on('data', (bytes) => (errors += bytes));
		const output = createInterface(child.stdout!).on('line', (line) => lines.push(line));
		const gone = once(child, 'exit').then(() => Promise.reject(new Error(`${words.join(' ')} has ended: ${errors}`)));
		gone.catch(() => undefined); // once it has said that it is ready, it may
		await Promise.race([once(output, 'line'), gone]);
		return child;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.host[Symbol.asyncDispose]();
		this.#authority[Symbol.dispose]();
	}

	#end(
		name: keyof TurnedScene['told'],
		place: Parameters<PrivateHost['spawn']>[1],
		enter: readonly string[],
		config: object,
	) {
		const path = join(this.#authority.folder, `${name}.json`);
		writeFileSync(path, JSON.stringify(config));
		return this.start([...enter, ...NODE, script('main.ts'), path], place, this.told[name]);
	}
}
