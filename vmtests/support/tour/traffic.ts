/** What real programs say of a lab: ping, curl, iperf3. */
import { PathproofError } from '../../../kernels/errors.ts';
import type { Node } from '../nodes.ts';

export interface Traffic {
	ping: { sent: number; received: number; averageMs: number };
	curl: { status: number; bytes: number; ms: number };
	iperf3: { bytes: number; seconds: number; retransmits: number };
}

const PINGS = 3;

/** All over IPv6, from the container to the peer. Throws a PathproofError (`call`) where one of them fails. */
export async function drive(web: Node, peer: Node): Promise<Traffic> {
	return { ping: await ping(web, peer), curl: await curl(web, peer), iperf3: await web.iperf3(peer) };
}

async function ping(web: Node, peer: Node): Promise<Traffic['ping']> {
	const { stdout } = await web.exec(['ping', '-6', '-c', `${PINGS}`, '-i', '0.2', '-W', '5', peer.ipv6]);
	return readPing(stdout);
}

/** Of ping's own summary. */
export function readPing(said: string): Traffic['ping'] {
	const counts = /(?<sent>\d+) packets transmitted, (?<received>\d+) received/.exec(said)?.groups;
	const times = /= [\d.]+\/(?<average>[\d.]+)\//.exec(said)?.groups;
	if (!counts) throw new PathproofError(`ping said nothing of its packets:\n${said}`, { stage: 'call' });
	return {
		sent: Number(counts.sent),
		received: Number(counts.received),
		averageMs: Number(times?.average ?? Number.NaN),
	};
}

/** A page of the peer's, served by busybox. */
async function curl(web: Node, peer: Node): Promise<Traffic['curl']> {
	const port = 80;
	await using _server = await peer.spawn(['busybox', 'httpd', '-f', '-p', `[${peer.ipv6}]:${port}`, '-h', '/etc']);
	await peer.listening('t', port);
	const said = '%{http_code} %{size_download} %{time_total}';
	const { stdout } = await web.exec([
		'curl',
		'-6sS',
		'-o',
		'/dev/null',
		'-w',
		said,
		`http://[${peer.ipv6}]/os-release`,
	]);
	const [status, bytes, seconds] = stdout.split(' ').map(Number);
	return { status: status!, bytes: bytes!, ms: seconds! * 1000 };
}
