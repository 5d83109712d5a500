/** What one end is told in its file. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { DatapathError } from '../errors.ts';

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
export type Config = z.infer<typeof CONFIG>;

/** Throws a DatapathError (`usage`) that says what is wrong with the file. */
export function readConfig(path: string | undefined): Config {
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
