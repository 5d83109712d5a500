/** A host whose containers are cgroups, and a peer beyond its uplink: what the tests of this chapter begin with. */
import { readFileSync } from 'node:fs';
import { expect, type GuestProcess, type Lab, type LabRequest } from 'pathproof';
import type { ContainerRequest } from '../../impl/container.ts';
import type { IdentitySpec } from '../../impl/identity/spec.ts';
import type { ExecOptions, ExecResult } from '../../kernels/vm.ts';
import { Scene, scene } from '../state/scene.ts';

export const ADDRESSES = {
	web: { ipv6: '2001:db8:0:2::10', ipv4: '198.51.100.10' },
	api: { ipv6: '2001:db8:0:2::11', ipv4: '198.51.100.11' },
} as const;
export const HOST = { ipv6: '2001:db8:0:1::1', ipv4: '192.0.2.1' } as const;

const FIXTURES = { calls: '/run/calls.py', echo: '/run/echo.py', steady: '/run/steady.py' } as const;
const CALLS = ['python3', FIXTURES.calls];

/** What fixtures/identity/calls.py is told, and what it answers. */
export interface Call {
	call: 'connect' | 'sendto' | 'bind';
	type: 'tcp' | 'udp';
	to?: string;
	port?: number;
	bind?: [address: string, port: number];
	source?: string;
}
export interface Answer {
	/** whom the server took it to come from */
	seen?: string;
	/** getsockname, and getpeername or what recvmsg named */
	local?: string;
	peer?: string;
	/** of the call that failed, or `timed out` */
	error?: string;
}

/** `web` and `api`, of both families unless one is left out. */
export function identity(
	name: keyof typeof ADDRESSES,
	spec: Partial<IdentitySpec> = {},
	more: Partial<ContainerRequest> = {},
): ContainerRequest {
	return { name, device: 'none', forward: 'native', ...ADDRESSES[name], guard: false, identity: spec, ...more };
}

export function cgroup(name: string): string {
	return `/sys/fs/cgroup/pathproof/${name}`;
}

export class IdentityScene extends Scene {
	/** A command line that runs this in the container: its cgroup, or any other. */
	readonly within = (name: string, argv: readonly string[]): string[] => {
		const path = name.startsWith('/') ? name : cgroup(name);
		return ['sh', '-c', `echo $$ >${path}/cgroup.procs && exec "$@"`, 'sh', ...argv];
	};

	readonly run = (name: string, argv: readonly string[], options?: ExecOptions): Promise<ExecResult> =>
		this.vm.exec(this.within(name, argv), options);

	readonly start = (name: string, argv: readonly string[]): Promise<GuestProcess> =>
		this.vm.spawn(this.within(name, argv));

	/** `null`: as a process of the host that is in no container. */
	readonly calls = (name: string | null, calls: readonly Call[]): Promise<Answer[]> =>
		this.#make(calls, name === null ? CALLS : this.within(name, CALLS));

	readonly peerCalls = (calls: readonly Call[]): Promise<Answer[]> => this.#make(calls, CALLS, 'peer');

	async #make(calls: readonly Call[], argv: readonly string[], netns?: string): Promise<Answer[]> {
		const { stdout } = await this.vm.exec(argv, { input: JSON.stringify(calls), timeout: 60_000, netns });
		return JSON.parse(stdout) as Answer[];
	}

	/** Servers of TCP and UDP, and of SCTP if that is named last, that tell each client whom they take it to be. `null`: of the peer. */
	readonly serve = async (
		name: string | null,
		address: string,
		...ports: (number | 'sctp')[]
	): Promise<GuestProcess> => {
		const argv = ['python3', FIXTURES.echo, address, ...ports.map(String)];
		const server = await (name === null ? this.vm.spawn(argv, { netns: 'peer' }) : this.start(name, argv));
		await server.waitFor(/^serving/, 30_000);
		return server;
	};

	/** The sources of all IP packets that the peer's wire carries to it while `act` runs, sorted. */
	readonly sourcesOnWire = async (act: () => Promise<unknown>): Promise<string[]> => {
		const capture = await this.vm.spawn(
			['tcpdump', '-n', '-l', '-i', 'eth0', '-Q', 'in', '--immediate-mode', 'ip6 or ip'],
			{ netns: 'peer' },
		);
		await capture.waitFor(/listening on/);
		await act();
		// whatever was sent before has been seen once this is
		await this.vm.exec(['ping', '-c1', '-W5', '2001:db8:0:1::2']);
		await capture.waitFor(/echo request/);
		await capture.kill('SIGINT');
		const { stdout } = await capture.ended;
		const lines = stdout.split('\n').filter((line) => !line.includes('ICMP6'));
		const found = lines.flatMap((line) => / IP6? (\S+?)(?:\.\d+)? > /.exec(line)?.[1] ?? []);
		return [...new Set(found)].sort();
	};
}

/** No container yet. The kernel needs modules: what runs in these guests is not in a root that is in RAM. */
export async function identityScene(lab: (request: LabRequest) => Promise<Lab>): Promise<IdentityScene> {
	const made = new IdentityScene((await scene(lab)).lab);
	for (const [name, path] of Object.entries(FIXTURES))
		await made.vm.writeFile(path, readFileSync(new URL(`../../fixtures/identity/${name}.py`, import.meta.url)));
	return made;
}

/** Each call, as one reads it, with what came of it. */
export function table(calls: readonly Call[], answers: readonly Answer[]): Record<string, string> {
	expect(answers).toHaveLength(calls.length);
	return Object.fromEntries(
		calls.map((call, index) => {
			const { seen, local, peer, error } = answers[index]!;
			return [title(call), error ?? [seen, local, peer].filter((one) => one !== undefined).join(' | ')];
		}),
	);
}

function title({ call, type, to, bind, source }: Call): string {
	return [
		`${type} ${call}`,
		...(to ? [`to ${to}`] : []),
		...(bind ? [`bound to ${bind[0]} ${bind[1]}`] : []),
		...(source ? [`from ${source}`] : []),
	].join(' ');
}
