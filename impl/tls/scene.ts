/** For tests: both proxies on ::1, with certificates of their own, and what stands at either side of them. All real, all on loopback. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Authority, containerCertificate, terminatorCertificate } from './authority.ts';
import type { CertificateFiles } from './certificates.ts';
import type { Endpoint } from './endpoints.ts';
import { type ForwardOptions, ForwardProxy } from './forward.ts';
import type { Refusal } from './refusals.ts';
import { type FlowReport, TerminatingProxy, type TerminatorOptions } from './terminator.ts';

/** For each file of tests once: a key pair costs more than most tests. */
export interface Files {
	web: CertificateFiles;
	terminator: CertificateFiles;
}

export const issueFiles = (authority: Authority): Files => ({
	web: authority.issue(containerCertificate('web')),
	terminator: authority.issue(terminatorCertificate),
});

export interface Unreachable {
	source: Endpoint;
	destination: Endpoint;
	refusal: Refusal;
}

/** A container's flows, all meant for `destination`, through both proxies. */
export interface Scene extends AsyncDisposable {
	forward: ForwardProxy;
	terminator: TerminatingProxy;
	reports: FlowReport[];
	/** of TCP connections that were refused */
	refused: Refusal[];
	answers: { source: Endpoint; destination: Endpoint; payload: Buffer }[];
	unreachable: Unreachable[];
	/** what a program of the container holds, having connected to `destination` */
	connect(destination: Endpoint): Promise<Socket>;
}

export async function scene(
	files: Files,
	{
		forward: { udp, ...forwardOptions } = {},
		terminator: terminatorOptions = {},
	}: {
		forward?: Partial<Omit<ForwardOptions, 'udp'>> & { udp?: Partial<ForwardOptions['udp']> };
		terminator?: Partial<TerminatorOptions>;
	} = {},
): Promise<Scene> {
	const reports: FlowReport[] = [];
	const refused: Refusal[] = [];
	const answers: Scene['answers'] = [];
	const unreachable: Unreachable[] = [];
	// The kernel will say where a connection was meant to go. Here its source port does, which either end may know first.
	const destinations = new Map<number, PromiseWithResolvers<Endpoint>>();
	const destinationOf = (port: number) => {
		const known = destinations.get(port) ?? Promise.withResolvers<Endpoint>();
		destinations.set(port, known);
		return known;
	};
	const terminator = new TerminatingProxy({
		certificates: files.terminator,
		allow: ['::1/128', '127.0.0.0/8'],
		report: (flow) => reports.push(flow),
		...terminatorOptions,
	});
	const { port } = await listen(terminator.server);
	const forward = new ForwardProxy({
		terminator: { host: '::1', port },
		certificates: files.web,
		originalDestination: (socket) => destinationOf(socket.remotePort!).promise,
		refused: (_source, refusal) => refused.push(refusal),
		...forwardOptions,
		udp: {
			answer: (source, destination, payload) => answers.push({ source, destination, payload }),
			unreachable: (source, destination, refusal) => unreachable.push({ source, destination, refusal }),
			...udp,
		},
	});
	const entry = await listen(forward.server);
	return {
		forward,
		terminator,
		reports,
		refused,
		answers,
		unreachable,
		async connect(destination) {
			const socket = connect({ host: '::1', port: entry.port, allowHalfOpen: true });
			await once(socket, 'connect');
			socket.on('error', () => undefined); // a reset is told to who asks for it
			destinationOf(socket.localPort!).resolve(destination);
			return socket;
		},
		async [Symbol.asyncDispose]() {
			forward.close();
			terminator.close();
		},
	};
}

/** Of ::1, for a process that has to be told its port: nobody's when this answers. */
export async function freePort(): Promise<number> {
	const probe = createServer();
	const { port } = await listen(probe);
	probe.close();
	await once(probe, 'close');
	return port;
}

export async function listen(server: Server): Promise<Endpoint> {
	server.listen(0, '::1');
	await once(server, 'listening');
	return server.address() as AddressInfo;
}

/** A server on ::1 that does this with each connection. */
export async function server(serve: (socket: Socket) => void) {
	const sockets = new Set<Socket>();
	const listening = createServer({ allowHalfOpen: true }, (socket) => {
		sockets.add(socket);
		socket.on('error', () => undefined);
		serve(socket);
	});
	const { address, port } = await listen(listening);
	return {
		address,
		port,
		sockets,
		[Symbol.dispose]() {
			listening.close();
			for (const socket of sockets) socket.destroy();
		},
	};
}

/** All that comes until FIN. Node's own consumers would then close the other direction too. */
export function received(socket: Socket): Promise<Buffer> {
	const chunks: Buffer[] = [];
	socket.on('data', (chunk: Buffer) => chunks.push(chunk));
	socket.resume(); // where it was stopped
	return once(socket, 'end').then(() => Buffer.concat(chunks));
}

/** How a connection ended, as its owner saw it. */
export const endOf = async (socket: Socket): Promise<string> => {
	socket.resume();
	const [error] = await Promise.race([once(socket, 'error'), once(socket, 'end').then(() => ['FIN'])]).catch((e) => [
		e,
	]);
	return error.code ?? String(error);
};

/** Until it no longer throws; what it throws last, where it still does after 15 s. */
export async function eventually(assert: () => void | Promise<void>, { interval = 20 } = {}): Promise<void> {
	for (const end = Date.now() + 15_000; ; await sleep(interval)) {
		try {
			return await assert();
		} catch (error) {
			if (Date.now() > end) throw error;
		}
	}
}
