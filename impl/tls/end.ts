/** One end of the two, as a process: it prints a line of JSON when it is ready, and one for each flow. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6, type Server } from 'node:net';
import type { Config } from './config.ts';
import { type Endpoint, formatEndpoint, parseEndpoint } from './endpoints.ts';
import { ForwardProxy } from './forward.ts';
import { type Refusal, refusalOf } from './refusals.ts';
import { TerminatingProxy } from './terminator.ts';

/** What has its certificates in files that may change. */
interface End {
	reload(): void;
	close(): void;
}

const tell = (event: object) => console.log(JSON.stringify(event));

/** Until SIGTERM; SIGHUP reads the certificates again. */
export async function runEnd(config: Config): Promise<void> {
	const end = await (config.role === 'terminate' ? terminate(config) : forward(config));
	process.on('SIGHUP', () => {
		try {
			end.reload();
			tell({ event: 'reloaded' });
		} catch (error) {
			console.error((error as Error).message); // those that were read before stay in use
		}
	});
	process.once('SIGTERM', () => end.close());
	tell({ event: 'ready', role: config.role });
}

async function listen(server: Server, at: string): Promise<void> {
	const { address, port } = parseEndpoint(at);
	server.listen(port, address);
	await once(server, 'listening'); // rejects with EADDRINUSE and such
}

async function terminate(config: Extract<Config, { role: 'terminate' }>): Promise<End> {
	const proxy = new TerminatingProxy({
		...config,
		report: ({ refusal, ...flow }) => tell({ ...flow, refusal: refusal?.shortMessage ?? null }),
	});
	await listen(proxy.server, config.listen);
	return proxy;
}

async function forward(config: Extract<Config, { role: 'forward' }>): Promise<End> {
	const ends: End[] = [];
	for (const { protocol, listen: at, to } of config.ways) {
		const fixed = to === undefined ? null : parseEndpoint(to);
		const refused = (source: Endpoint, { shortMessage, code }: Refusal) =>
			tell({
				event: 'refused',
				protocol,
				source: formatEndpoint(source),
				destination: to ?? null,
				code,
				refusal: shortMessage,
			});
		// Not imported above: libbpf need not be where the kernel is not asked.
		const { originalDestination, datagramDestination } = fixed
			? { originalDestination: () => fixed, datagramDestination: () => fixed }
			: await import('./original.ts');
		const socket = createSocket(isIPv6(parseEndpoint(at).address) ? 'udp6' : 'udp4');
		const proxy = new ForwardProxy({
			...config,
			originalDestination,
			refused,
			udp: {
				// whose program is gone meanwhile, or who had too many others: lost, as on any way
				answer: ({ address, port }, _from, payload) => socket.send(payload, port, address, () => undefined),
				unreachable: (source, _to, refusal) => refused(source, refusal),
			},
		});
		if (protocol === 'tcp') await listen(proxy.server, at);
		else {
			socket.on('message', (payload, { address, port }) => {
				const source = { address, port };
				try {
					proxy.udp.send(source, datagramDestination(source), payload);
				} catch (error) {
					refused(source, refusalOf(error));
				}
			});
			socket.bind(parseEndpoint(at));
			await once(socket, 'listening');
		}
		ends.push(proxy, { reload: () => undefined, close: () => socket.close() });
	}
	return {
		reload() {
			for (const end of ends) end.reload();
		},
		close() {
			for (const end of ends) end.close();
		},
	};
}
