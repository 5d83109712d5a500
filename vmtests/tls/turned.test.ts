/** TCP and UDP of a container go to whom they are meant for over TLS, and neither the program nor the one it talks with can tell. */
import { describe, expect, test } from 'pathproof';
import { ADDRESSES } from '../identity/scene.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { NONCE } from './nonce.ts';
import { PLACES } from './places.ts';
import { BEHIND, type Joined, TERMINATOR, tlsScene } from './scene.ts';
import { captured, talksWith } from './wire.ts';

const { ipv6, ipv4 } = ADDRESSES.web;
/** Of TLS: a record of a handshake; in its ServerHello `supported_versions`, of which TLS 1.3 is 3.4. */
const HANDSHAKE = Buffer.from([22, 3, 3]);
const IS_TLS_1_3 = Buffer.from([0x00, 0x2b, 0x00, 0x02, 0x03, 0x04]);

/** One cell on a kernel of its own in every run. */
const sampleOf = (device: Joined) => (device ? { tags: [FULL] } : turn(2, 'modules'));

describe.for(PLACES)('of $what', ({ device, proxy, needs }) => {
	test(
		'curl reaches both families as if nothing were between, and the wire carries TLS 1.3 to the terminating proxy and nothing else',
		sampleOf(device),
		async ({ lab, requires }) => {
			await requires(...needs);
			const scene = await tlsScene(lab, device);
			const { on } = scene;
			const { vm } = on;
			await vm.exec(['sh', '-c', `mkdir /run/www && echo ${NONCE} >/run/www/${NONCE}`]);
			await using _server = await vm.spawn(['busybox', 'httpd', '-f', '-p', '80', '-h', '/run/www'], { netns: 'peer' });
			await scene.turn('2001:db8:f::/48', 80);
			await scene.turn('203.0.113.0/24', 80);
			const said: string[] = [];
			const wire = await captured(scene, async () => {
				for (const host of [`[${BEHIND[6][6]}]`, BEHIND[4][6]!]) {
					const argv = ['curl', '-sS', '--max-time', '60', '-w', '%{remote_ip} %{local_ip} %{http_code}'];
					said.push((await scene.run([...argv, `http://${host}/${NONCE}`])).stdout);
				}
			});
			expect(said).toEqual([`${NONCE}\n2001:db8:f::7 ${ipv6} 200`, `${NONCE}\n203.0.113.7 ${ipv4} 200`]);
			expect(await talksWith(scene)).toEqual([`${proxy} > ${TERMINATOR.host}.${TERMINATOR.port}`]);
			expect(wire.includes(NONCE)).toBe(false);
			expect([wire.includes(HANDSHAKE), wire.includes(IS_TLS_1_3)]).toEqual([true, true]);
			// the certificate of the other end says whose it is
			expect(scene.told.terminate.filter((line) => line.includes('"open"'))).toEqual(
				['[2001:db8:f::7]:80', '203.0.113.7:80'].map(
					(destination) =>
						`{"event":"open","container":"web","protocol":"tcp","destination":"${destination}","refusal":null}`,
				),
			);
		},
	);

	test('without a policy the same goes as it is: the wire carries it in clear', { tags: [FULL] }, async ({
		lab,
		requires,
	}) => {
		await requires(...needs);
		const scene = await tlsScene(lab, device);
		const { on } = scene;
		await on.vm.exec(['sh', '-c', `mkdir /run/www && echo ${NONCE} >/run/www/${NONCE}`]);
		await using _server = await on.vm.spawn(['busybox', 'httpd', '-f', '-p', '80', '-h', '/run/www'], {
			netns: 'peer',
		});
		const wire = await captured(scene, () => scene.run(['curl', '-sS', `http://[${BEHIND[6][6]}]/${NONCE}`]));
		expect(wire.includes(NONCE)).toBe(true);
	});

	test('one UDP socket sends to 200 destinations of each family: each gets its own, and each answer comes from the one that gave it', {
		tags: [FULL],
		timeout: 300_000,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const scene = await tlsScene(lab, device);
		const { peer, web } = scene;
		await using _answers = await peer('answer', '53', ...BEHIND[6], ...BEHIND[4]);
		await scene.turn('2001:db8:f::/48', 53, '--protocol', 'udp');
		await scene.turn('203.0.113.0/24', 53, '--protocol', 'udp');
		const wire = await captured(scene, async () => {
			for (const [family, end] of [
				[6, (address: string) => `[${address}]:53`],
				[4, (address: string) => `${address}:53`],
			] as const)
				expect(await web('ask', '53', NONCE, ...BEHIND[family])).toEqual({
					answers: Object.fromEntries(BEHIND[family].map((address) => [end(address), `${NONCE} came to ${address}`])),
				});
		});
		expect(await talksWith(scene)).toEqual([`${proxy} > ${TERMINATOR.host}.${TERMINATOR.port}`]);
		expect(wire.includes(NONCE)).toBe(false);
	});
});
