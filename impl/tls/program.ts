/**
 * For tests: a program that knows nothing of proxies, as a process of its own that prints lines of JSON.
 *
 *     serve PORT…                 TCP: says to each that sends it something which address it was sent to, and by whom
 *     talk ADDRESS PORT TEXT      TCP: sends it, and prints what the other end said and what its socket says
 *     post ADDRESS PORT TEXT      TCP: sends it, and leaves
 *     hold ADDRESS PORT           TCP: prints what its socket says, again at each line that it reads, and leaves with their end
 *     answer PORT ADDRESS…        UDP: at each of them, says to each that sends it something which it was sent to
 *     ask PORT TEXT ADDRESS…      UDP: sends it to each from one socket, and prints what came by who it came from
 *     call ADDRESS PORT TEXT      UDP: sends it from a connected socket, and prints what came and what the socket says
 */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { formatEndpoint, plainAddress } from './endpoints.ts';

const tell = (event: object) => console.log(JSON.stringify(event));
const remote = ({ remoteAddress, remotePort }: Socket) =>
	formatEndpoint({ address: plainAddress(remoteAddress ?? '') ?? '', port: remotePort ?? 0 });
const local = ({ localAddress, localPort }: Socket) =>
	formatEndpoint({ address: plainAddress(localAddress ?? '') ?? '', port: localPort ?? 0 });

async function connected(address: string, port: string): Promise<Socket> {
	const socket = connect(Number(port), address);
	await once(socket, 'connect');
	return socket;
}

const DO: Record<string, (...words: string[]) => Promise<void>> = {
	async serve(...ports) {
		for (const port of ports) {
			const server = createServer((socket) => {
				const from = plainAddress(socket.remoteAddress ?? '');
				socket.on('error', () => undefined); // who is gone needs no answer
				socket.on('data', (text) => socket.write(`${text} came to ${local(socket)} from ${from}`));
			});
			server.listen(Number(port), '::');
			await once(server, 'listening');
		}
		tell({ event: 'ready' });
	},
	async talk(address = '', port = '', text = '') {
		const socket = await connected(address, port);
		const ends = { peer: remote(socket), address: plainAddress(socket.localAddress ?? '') };
		socket.write(text);
		const [answer] = await once(socket, 'data');
		tell({ ...ends, answer: String(answer) });
		socket.end();
	},
	async post(address = '', port = '', text = '') {
		const socket = await connected(address, port);
		socket.end(text);
		await once(socket, 'finish');
		tell({ sent: text.length });
		socket.resetAndDestroy();
	},
	async hold(address = '', port = '') {
		const socket = await connected(address, port);
		tell({ peer: remote(socket), local: local(socket) });
		// asked of the kernel again: Node keeps what it was told
		const { _handle: handle } = socket as unknown as { _handle: { getpeername(to: object): number } };
		for await (const _line of createInterface(process.stdin)) {
			const to = { address: '', port: 0 };
			handle.getpeername(to);
			tell({ peer: formatEndpoint(to) });
		}
		socket.destroy();
	},
	async answer(port, ...addresses) {
		for (const address of addresses) {
			const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
			socket.on('message', (text, from) => socket.send(`${text} came to ${address}`, from.port, from.address));
			socket.bind(Number(port), address);
			await once(socket, 'listening');
		}
		tell({ event: 'ready' });
	},
	async ask(port, text = '', ...addresses) {
		const socket = createSocket(addresses[0]!.includes(':') ? 'udp6' : 'udp4');
		const answers: Record<string, string> = {};
		const sent = addresses.map((address) => new Promise((done) => socket.send(text, Number(port), address, done)));
		const errors = (await Promise.all(sent)).flatMap((error) => (error as NodeJS.ErrnoException | null)?.code ?? []);
		const signal = AbortSignal.timeout(errors.length ? 500 : 30_000);
		try {
			for (const _each of addresses) {
				const [answer, { address, port }] = (await once(socket, 'message', { signal })) as [Buffer, RemoteInfo];
				answers[formatEndpoint({ address, port })] = String(answer);
			}
		} catch {
			// what has not come by now is missed where the answers are looked at
		}
		tell({ answers, ...(errors.length && { errors: [...new Set(errors)] }) });
		socket.close();
	},
	async call(address = '', port = '', text = '') {
		const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
		socket.connect(Number(port), address);
		await once(socket, 'connect');
		const peer = formatEndpoint(socket.remoteAddress());
		socket.send(text);
		const [answer, from] = (await once(socket, 'message')) as [Buffer, RemoteInfo];
		tell({ peer, address: socket.address().address, answer: String(answer), from: formatEndpoint(from) });
		socket.close();
	},
};

const [act = '', ...words] = process.argv.slice(2);
try {
	await DO[act]!(...words);
} catch (error) {
	const { code, message } = error as NodeJS.ErrnoException;
	tell({ error: code ?? message });
	process.exit(1); // a socket of UDP would keep it
}
