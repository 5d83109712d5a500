/** Programs that nobody here wrote, as clients and as servers: whom the other side sees, on its wire and by its own word. */
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { ADDRESSES, identity, identityScene } from './scene.ts';

const { ipv6, ipv4 } = ADDRESSES.web;

test('curl, wget, ncat, dig, nslookup and iperf3 leave with the address of their container', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, run, serve, sourcesOnWire, vm } = await identityScene(lab);
	await net.addContainer(identity('web'));
	await using _echo = await serve(null, '::', 7, 53);
	await using _http = await vm.spawn(['busybox', 'httpd', '-f', '-p', '80', '-h', '/etc'], { netns: 'peer' });
	await using _iperf = await vm.spawn(['iperf3', '--server', '--forceflush'], { netns: 'peer' });
	const said: Record<string, string> = {};
	const sources = await sourcesOnWire(async () => {
		const client = async (name: string, argv: string[], reject = true) => {
			said[name] = (await run('web', argv, { reject, timeout: 60_000 })).stdout.trim();
		};
		for (const [family, peer] of [
			['6', `[${PEER.ipv6}]`],
			['4', PEER.ipv4],
		] as const)
			await client(`curl -${family}`, [
				'curl',
				'-sS',
				'-o',
				'/dev/null',
				'-w',
				'%{local_ip} %{http_code}',
				`http://${peer}/hostname`,
			]);
		await client('wget', ['busybox', 'wget', '-q', '-O', '/dev/null', `http://[${PEER.ipv6}]/hostname`]);
		await client('ncat', ['ncat', '-6', '--recv-only', PEER.ipv6, '7']);
		await client('ncat -4', ['ncat', '-4', '--recv-only', PEER.ipv4, '7']);
		// what answers is no name server: that it was asked is what counts
		for (const at of [PEER.ipv6, PEER.ipv4]) {
			await client('dig', ['dig', `@${at}`, '+tries=1', '+time=1', 'example'], false);
			await client('nslookup', ['timeout', '2', 'busybox', 'nslookup', 'example', at], false);
		}
		await client('iperf3', ['iperf3', '-c', PEER.ipv6, '-n', '64K', '--json']);
	});
	expect(said).toMatchObject({
		'curl -6': `${ipv6} 200`,
		'curl -4': `${ipv4} 200`,
		wget: '',
		ncat: `${ipv6} ${PEER.ipv6}`,
		'ncat -4': `::ffff:${ipv4} ::ffff:${PEER.ipv4}`,
	});
	expect(JSON.parse(said.iperf3!).start.connected[0].local_host).toBe(ipv6);
	expect(sources).toEqual([ipv4, ipv6]);
	const { identity: asked } = await net.showContainer('web');
	expect(asked!.counts).toMatchObject({ FOREIGN_ADDRESS: 0, FORBIDDEN_PROTOCOL: 0, NO_SUCH_FAMILY: 0 });
});

test('busybox httpd, python3 -m http.server and ncat serve the world, and each other, at one address each', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, run, start, vm } = await identityScene(lab);
	await net.addContainer(identity('web'));
	await net.addContainer(identity('api'));
	const servers = [
		await start('web', ['busybox', 'httpd', '-f', '-p', '80', '-h', '/etc']),
		await start('api', ['python3', '-u', '-m', 'http.server', '--bind', '::', '--directory', '/etc', '80']),
		await start('web', ['ncat', '-6', '-lk', '99', '-c', 'echo $NCAT_REMOTE_ADDR $NCAT_LOCAL_ADDR']),
	];
	await servers[1]!.waitFor(/Serving HTTP on :: port 80/, 60_000);
	const get = [
		'curl',
		'-sS',
		'-o',
		'/dev/null',
		'--retry',
		'5',
		'--retry-connrefused',
		'-w',
		'%{remote_ip} %{http_code}',
	];
	for (const address of [ipv6, ADDRESSES.api.ipv6])
		expect((await vm.exec([...get, `http://[${address}]/hostname`], { netns: 'peer' })).stdout).toBe(`${address} 200`);
	// each its own
	for (const name of ['web', 'api'])
		expect((await run(name, [...get, 'http://[::1]/hostname'])).stdout).toBe('::1 200');
	expect((await vm.exec(['ncat', '-6', '--recv-only', ipv6, '99'], { netns: 'peer' })).stdout.trim()).toBe(
		`${PEER.ipv6} ${ipv6}`,
	);
	for (const server of servers) await server.kill();
});
