/**
 * A container, its forward proxy beside it or, where it has a netns, within that, and a peer beyond the wire with the terminating one
 * and what stands behind it.
 *
 *     web's programs ─▶ forward proxy ═ eth0 ═══ TLS 1.3 ═══ eth0 ═▶ terminating proxy ─▶ 2001:db8:f::1, 203.0.113.1 … (peer)
 */
import { readFileSync } from 'node:fs';
import type { ExecResult, GuestProcess, Lab, LabRequest } from 'pathproof';
import { Authority } from '../../impl/tls/authority.ts';
import type { CertificateFiles } from '../../impl/tls/certificates.ts';
import { issueFiles } from '../../impl/tls/scene.ts';
import { GUEST_HOME } from '../../kernels/agent/protocol.ts';
import { ADDRESSES, type IdentityScene, identity, identityScene } from '../identity/scene.ts';
import { request } from '../state/scene.ts';

const NODE = `${GUEST_HOME}/bin/node`;
const SCRIPTS = `${GUEST_HOME}/payload/vmtests/support/guest`;
const PROXY_PORT = 15_001;
const PROXY_CGROUP = '/sys/fs/cgroup/proxy';
export const TERMINATOR = { host: '2001:db8:0:1::2', port: 4433, serverName: 'terminator.example' } as const;

/** As many of each family are behind the peer. */
const MANY = 200;
export const BEHIND = {
	6: Array.from({ length: MANY }, (_, number) => `2001:db8:f::${(number + 1).toString(16)}`),
	4: Array.from({ length: MANY }, (_, number) => `203.0.113.${number + 1}`),
} as const;
const ROUTES = ['2001:db8:f::/48 via 2001:db8:0:1::2', '203.0.113.0/24 via 192.0.2.2'] as const;

/** What a program of impl/tls/program.ts prints as it ends. */
export interface Said {
	answers?: Record<string, string>;
	errors?: string[];
	error?: string;
}

/** What joins web's netns to the host; `null`: it has none, and is an identity. */
export type Joined = 'veth' | 'netkit-l2' | 'netkit-l3' | null;

export class TlsScene {
	readonly on: IdentityScene;
	readonly #device: Joined;
	/** what each end has printed, line by line */
	readonly told = { terminate: [] as string[], forward: [] as string[] };
	forward!: GuestProcess;

	constructor(on: IdentityScene, device: Joined) {
		this.on = on;
		this.#device = device;
	}

	/** web's; the host's own without */
	get netns(): string | undefined {
		return this.#device ? 'web' : undefined;
	}

	/** A program of web's, that may fail. */
	readonly run = (argv: readonly string[], timeout = 120_000): Promise<ExecResult> =>
		this.netns
			? this.on.vm.exec(argv, { netns: this.netns, reject: false, timeout })
			: this.on.run('web', argv, { reject: false, timeout });

	/** The same of one that goes on. */
	readonly start = (argv: readonly string[]): Promise<GuestProcess> =>
		this.netns ? this.on.vm.spawn(argv, { netns: this.netns }) : this.on.start('web', argv);

	/** One of impl/tls/program.ts, to its end. */
	readonly web = async (...words: string[]): Promise<Said> => {
		const { stdout } = await this.run([NODE, `${SCRIPTS}/tls-program.mjs`, ...words]);
		return JSON.parse(stdout) as Said;
	};

	/** One of the peer's, that goes on once it is ready. */
	readonly peer = async (...words: string[]): Promise<GuestProcess> => {
		const started = await this.on.vm.spawn([NODE, `${SCRIPTS}/tls-program.mjs`, ...words], { netns: 'peer' });
		await started.waitFor(/"ready"/, 60_000);
		return started;
	};

	/** `pathproof net tls add` for web. `port`: `null` is every one. */
	readonly turn = (to: string, port: number | null, ...more: string[]): Promise<string> =>
		this.on.done([
			...['net', 'tls', 'add', 'web', '--to', to, ...(port === null ? [] : ['--port', `${port}`])],
			...['--proxy', `${PROXY_PORT}`, '--proxy-cgroup', PROXY_CGROUP, ...more],
		]);

	/** The terminating proxy in the peer's netns, and the forward one in a cgroup of its own. */
	async startProxies(): Promise<void> {
		using authority = new Authority();
		const files = issueFiles(authority);
		await this.#end('terminate', await this.#carry('terminate', files.terminator), {
			listen: `[::]:${TERMINATOR.port}`,
			allow: ['2001:db8:f::/48', '203.0.113.0/24'],
		});
		const { ipv6, ipv4 } = ADDRESSES.web;
		const ways = (this.#device ? [`[${ipv6}]`, ipv4] : ['[::1]', '127.0.0.1']).flatMap((address) =>
			['tcp', 'udp'].map((protocol) => ({ protocol, listen: `${address}:${PROXY_PORT}` })),
		);
		this.forward = await this.#end('forward', await this.#carry('forward', files.web), {
			terminator: TERMINATOR,
			ways,
		});
	}

	/** Into the guest. */
	async #carry(role: keyof TlsScene['told'], files: CertificateFiles): Promise<CertificateFiles> {
		const paths = Object.keys(files).map((name) => [name, `/run/${role}-${name}.pem`] as const);
		for (const [name, path] of paths)
			await this.on.vm.writeFile(path, readFileSync(files[name as keyof CertificateFiles]!));
		return Object.fromEntries(paths) as unknown as CertificateFiles;
	}

	async #end(role: keyof TlsScene['told'], certificates: CertificateFiles, config: object): Promise<GuestProcess> {
		const { vm, within } = this.on;
		const path = `/run/${role}.json`;
		await vm.writeFile(path, JSON.stringify({ role, certificates, ...config }));
		// below /sys it sees the host's, unlike what `ip netns exec` runs
		const there = role === 'forward' && this.#device ? ['nsenter', '--net=/run/netns/web'] : [];
		const argv = [...there, NODE, `${SCRIPTS}/tls-end.mjs`, path];
		const end = await (role === 'terminate' ? vm.spawn(argv, { netns: 'peer' }) : vm.spawn(within(PROXY_CGROUP, argv)));
		let rest = '';
		end.onOutput((bytes, stream) => {
			if (stream === 'stderr') return;
			const lines = (rest + Buffer.from(bytes).toString()).split('\n');
			rest = lines.pop()!;
			this.told[role].push(...lines);
		});
		await end.waitFor(/"ready"/, 60_000);
		return end;
	}
}

/** With the container web, of both families, and without a policy. */
export async function tlsScene(lab: (request: LabRequest) => Promise<Lab>, device: Joined = null): Promise<TlsScene> {
	const on = await identityScene(lab);
	const batch = async (commands: readonly string[], ...words: string[]) =>
		on.vm.exec(['ip', ...words, '-batch', '-'], { input: `${commands.join('\n')}\n` });
	await batch(ROUTES.map((route) => `route add ${route}`));
	const behind = [
		...BEHIND[6].map((address) => `addr add ${address}/128 dev lo nodad`),
		...BEHIND[4].map((address) => `addr add ${address}/32 dev lo`),
	];
	await batch(['link set lo up', ...behind], '-n', 'peer');
	await on.vm.exec(['mkdir', PROXY_CGROUP]);
	// a proxy that stands still for a moment, on a busy machine, has room for what comes meanwhile
	await on.vm.exec(['sysctl', '-qw', 'net.core.rmem_default=8388608', 'net.core.rmem_max=8388608']);
	await on.net.addContainer(device ? request('web', { device, forward: 'redirect' }) : identity('web'));
	const scene = new TlsScene(on, device);
	await scene.startProxies();
	return scene;
}
