/** What is added after a call for it was killed. On a private host of this machine's own kernel. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lacksPrivateHost, PrivateHost } from '../tls/private-host.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const lacks = lacksPrivateHost();
let host: PrivateHost;
beforeAll(async () => {
	if (lacks) return;
	host = await PrivateHost.make();
	await host.ip('link add eth0 type veth peer name wire\nlink set eth0 up\nlink set wire up\n');
});
afterAll(() => host?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));
afterEach(() => host?.pathproof('net', 'rm', '--all'));

const ADDRESS = '2001:db8:0:2::10';
const net = new URL('../net.ts', import.meta.url);

/** An identity that has its address on lo, and nothing more yet. */
const KILLED = `
import { addContainer } from ${JSON.stringify(net)};
const web = { name: 'web', device: 'none', forward: 'native', ipv6: '${ADDRESS}', identity: {} };
await addContainer(web, { onStep: (what) => what.includes('dev lo') && process.kill(process.pid, 'SIGKILL') });
`;
const begin = () => host.run([process.execPath, '--input-type=module', '-e', KILLED]);
const add = (...words: string[]) => host.pathproof('net', 'add', 'web', ...words);
const VETH = ['--device', 'veth', '--forward', 'redirect', '--uplink', 'eth0'];

test.each([
	['the same', ['--mode', 'identity', '--ip', ADDRESS]],
	['a service at the address', ['--mode', 'identity', '--ip', '2001:db8:0:2::11', '--serve', `${ADDRESS},80/tcp,80`]],
	['a device with the address', [...VETH, '--ipv6', ADDRESS]],
])('an identity that was begun is no reason to refuse %s of its name', async (_, words) => {
	expect(await begin()).toMatchObject({ code: null });
	expect((await host.pathproof('net', 'ls')).stdout).toMatch(/web .* adding/);
	expect(await add(...words)).toEqual({ code: 0, stdout: 'web is there\n', stderr: '' });
	expect(await host.pathproof('net', 'check')).toMatchObject({ code: 0 });
});

test("what was begun does not make somebody else's device ours", async () => {
	await begin();
	await host.ip('link add web type veth peer name other\n');
	expect((await add(...VETH, '--ipv6', ADDRESS)).stderr).toContain('there is a device web already');
	await host.ip('link del web\n');
});
