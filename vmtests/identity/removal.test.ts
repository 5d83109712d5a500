/**
 * A container that goes while it has connections: none of them goes on in an address that is another's next. What a process has open
 * keeps the container, wherever that process is; what the kernel alone still has, of processes that have ended, is reset.
 */
import { readFileSync } from 'node:fs';
import { expect, type GuestProcess, test } from 'pathproof';
import { bugClaim } from '../../kernels/bugs.ts';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { Hello } from './hello.ts';
import { ADDRESSES, type IdentityScene, identity, identityScene } from './scene.ts';

const { ipv6 } = ADDRESSES.web;
const PORT = 7000;
/** Another container at the same address. */
const heir = identity('api', {}, { ipv6, ipv4: null });

/** The sockets of `netns` with that address, by which end it is at, as `ss` names their states. */
async function states({ vm }: IdentityScene, end: 'src' | 'dst', netns?: string): Promise<string[]> {
	const argv = ['ss', '-Htan', 'state', 'all', 'exclude', 'time-wait', end, `[${ipv6}]`];
	const { stdout } = await vm.exec(argv, { netns });
	return stdout
		.trim()
		.split('\n')
		.flatMap((line) => line.split(/\s+/)[0] || []);
}

/** Tells fixtures/identity/holder.py what to do, and answers what it printed. */
async function tell(holder: GuestProcess, name: string, what: 'echo' | 'close'): Promise<string> {
	await holder.write(`${name} ${what}\n`);
	return await holder.waitFor(new RegExp(`^${name} ${what === 'close' ? 'closed' : 'heard'}`), 20_000);
}

test('a container is not taken away while anybody has a socket of its own, wherever that process is now', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, vm, within } = scene;
	const hello = await Hello.in(scene);
	await vm.writeFile('/run/holder.py', readFileSync(new URL('../../fixtures/identity/holder.py', import.meta.url)));
	await net.addContainer(identity('web'));
	await using _peer = await hello.serve(null, PORT);
	await using holder = await vm.spawn(within('web', ['python3', '/run/holder.py', PEER.ipv6, String(PORT)]), {
		keepInput: true,
	});
	await holder.waitFor(/^listens/, 60_000);
	await using _client = await vm.spawn(['socat', '-dd', `TCP6:[${ipv6}]:80`, 'EXEC:cat'], { netns: 'peer' });
	await holder.waitFor(/^moved/, 30_000);
	const open = async () => (await states(scene, 'src')).sort();
	expect(await open()).toEqual(['ESTAB', 'ESTAB', 'LISTEN']);

	// one after the other: as long as there is one
	for (const name of ['udp', 'connected', 'listener', 'made', 'accepted']) {
		await expect(net.removeContainer('web')).rejects.toThrow(
			new RegExp(`^python3 \\(pid ${holder.pid}\\) still has the socket \\[${ipv6}\\]:\\d+ of web`),
		);
		// nothing was begun: what is connected goes on
		expect(await net.checkHost()).toEqual([]);
		if (name === 'udp') {
			expect(await open()).toEqual(['ESTAB', 'ESTAB', 'LISTEN']);
			expect(await tell(holder, 'made', 'echo')).toBe('made heard peer hello');
			expect(await tell(holder, 'accepted', 'echo')).toBe('accepted heard hello');
		}
		await expect(net.addContainer(heir)).rejects.toThrow(`${ipv6} is another container's already`);
		await tell(holder, name, 'close');
	}
	await net.removeContainer('web');
	expect(await net.listContainers()).toEqual([]);
	await net.addContainer(heir);
	await using _heir = await hello.serve('api', 80);
	const tally = await hello.ask(null, { how: 'ask', rate: 50, count: 50, port: 80, targets: [`api@${ipv6}`] });
	expect(tally).toMatchObject({
		misdelivered: 0,
		targets: { [`api@${ipv6}`]: { answers: { api: 50 }, failures: {} } },
	});
});

/** Connects, accepts, and says more on both than anybody takes. */
const SAY = `
import socket, sys
listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('::', 80))
listener.listen()
made = socket.socket(socket.AF_INET6)
made.connect(('${PEER.ipv6}', ${PORT}))
print('listens', flush=True)
for one in made, listener.accept()[0]:
    one.setblocking(False)
    try:
        while True: one.send(b'old' * 20000)
    except BlockingIOError: pass
print('full', flush=True)
sys.stdin.readline()`;

/** Their other ends: hears nothing of it before it is told to, and then until the end. */
const HEAR = `
import errno, socket, sys
listener = socket.socket(socket.AF_INET6)
listener.bind(('::', ${PORT}))
listener.listen()
print('listens', flush=True)
accepted = listener.accept()[0]
sys.stdin.readline()
made = socket.create_connection(('${ipv6}', 80))
sys.stdin.readline()
for one in accepted, made:
    one.settimeout(10)
    said = set()
    try:
        while data := one.recv(1 << 20): said |= set(data)
        print('heard', bytes(sorted(said)), 'the end', flush=True)
    except OSError as error:
        print('heard', bytes(sorted(said)), errno.errorcode.get(error.errno, error), flush=True)`;

test('what a killed container had not delivered is reset, and the next one of its address has nothing to do with it', {
	tags: [FULL],
}, async ({ lab, kernel, requires }) => {
	await requires('modules');
	const { broken, because } = bugClaim(kernel, 'orphan-abort');
	const scene = await identityScene(lab);
	const { net, vm, within } = scene;
	const hello = await Hello.in(scene);
	await net.addContainer(identity('web'));
	await using peer = await vm.spawn(['python3', '-c', HEAR], { netns: 'peer', keepInput: true });
	await peer.waitFor(/^listens/, 60_000);
	await using web = await vm.spawn(within('web', ['python3', '-c', SAY]), { keepInput: true });
	await web.waitFor(/^listens/, 60_000);
	await peer.write('connect\n');
	await web.waitFor(/^full/, 30_000);
	await web.kill('SIGKILL');
	await web.ended;
	// nobody holds them, and the kernel still has them to send
	expect(await states(scene, 'src')).toEqual(['FIN-WAIT-1', 'FIN-WAIT-1']);
	await net.removeContainer('web');
	await net.addContainer(heir);
	await using _heir = await hello.serve('api', 80);
	await peer.write('hear\n');
	const { stdout } = await peer.ended;
	// of sockets that stay nothing more is said, and they hear that the other end is closed
	const end = broken ? 'timed out' : 'ECONNRESET';
	expect(stdout, because).toBe(`listens\nheard b'dlo' ${end}\nheard b'dlo' ${end}\n`);
	const left = (await states(scene, 'src')).filter((state) => state !== 'LISTEN');
	expect(left, because).toEqual(broken ? ['CLOSING', 'CLOSING'] : []);
	const asked = { how: 'ask', rate: 50, count: 50, port: 80, targets: [`api@${ipv6}`] } as const;
	expect((await hello.ask(null, asked)).targets).toEqual({ [`api@${ipv6}`]: { answers: { api: 50 }, failures: {} } });
});
