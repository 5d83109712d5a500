/**
 * One end as a process of its own: `node impl/tls/main.ts FILE`. The file is JSON, one of
 *
 *     { "role": "terminate", "listen": "[::]:4433", "certificates": { … }, "allow": ["2001:db8:f::/48"] }
 *     { "role": "forward", "terminator": { "host": "2001:db8:0:1::2", "port": 4433 }, "certificates": { … },
 *       "ways": [{ "protocol": "tcp", "listen": "[::1]:15001" }, { "protocol": "udp", "listen": "[::1]:15001", "to": "[2001:db8:f::1]:53" }] }
 *
 * where a way without `to` goes where its program meant to go, by the kernel's word (`pathproof net tls add`); with the options of TerminatingProxy and ForwardProxy beside them, and `certificates` as CertificateFiles. It prints a line of JSON
 * when it is ready and one for each flow; SIGHUP reads the certificates again, SIGTERM ends it.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { isIPv6, type Server } from 'node:net';
import { z } from 'zod';
import { tellError } from '../command-line.ts';
import { DatapathError } from '../errors.ts';
import { type Endpoint, formatEndpoint, parseEndpoint } from './endpoints.ts';
import { ForwardProxy } from './forward.ts';
import { type Refusal, refusalOf } from './refusals.ts';
import { TerminatingProxy } from './terminator.ts';

const milliseconds = z.int().nonnegative().optional();
const count = z.int().positive().optional();
const certificates = z.strictObject({
	certificate: z.string(),
	key: z.string(),
	authority: z.string(),
	revoked: z.string().optional(),
});

const CONFIG = z.discriminatedUnion('role', [
	z.strictObject({
		role: z.literal('terminate'),
		listen: z.string(),
		certificates,
		allow: z.array(z.string()),
		trustDomain: z.string().optional(),
		maxStreams: count,
		maxFlows: count,
		keepAliveMs: count,
		connectMs: count,
		tcpIdleMs: milliseconds,
		udpIdleMs: count,
	}),
	z.strictObject({
		role: z.literal('forward'),
		terminator: z.strictObject({ host: z.string(), port: z.int(), serverName: z.string().optional() }),
		certificates,
		ways: z
			.array(z.strictObject({ protocol: z.enum(['tcp', 'udp']), listen: z.string(), to: z.string().optional() }))
			.min(1),
		patienceMs: count,
		maxSessions: count,
		keepAliveMs: count,
		tcpIdleMs: milliseconds,
	}),
]);
type Config = z.infer<typeof CONFIG>;

/** What has its certificates in files that may change. */
interface End {
	reload(): void;
	close(): void;
}

const tell = (event: object) => console.log(JSON.stringify(event));

function readConfig(path: string | undefined): Config {
	const fail = (why: string) =>
		new DatapathError(`${path}: ${why}`, {
			usage: true,
			hint: 'node impl/tls/main.ts FILE; the head of main.ts shows two',
		});
	if (path === undefined) throw fail('no file was named');
	let read: unknown;
	try {
		read = JSON.parse(readFileSync(path, 'utf8'));
	} catch (error) {
		throw fail((error as Error).message);
	}
	const { data, error } = CONFIG.safeParse(read);
	if (!data) throw fail(z.prettifyError(error));
	return data;
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

try {
	const config = readConfig(process.argv[2]);
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
} catch (error) {
	process.exitCode = tellError(error, false);
}
