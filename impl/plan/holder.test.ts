/** On a private host of this machine's own kernel, which need not have ipvlan for what is printed alone. */
import { expect, onTestFinished, test } from 'vitest';
import { lacksPrivateHost, PrivateHost } from '../tls/private-host.ts';

const lacks = lacksPrivateHost();

test('a dry run says which addresses will be kept from the slaves of an uplink, and by what', {
	timeout: 300_000, // on a machine with much else to do
}, async ({ skip }) => {
	skip(lacks !== null, lacks ?? '');
	const host = await PrivateHost.make();
	onTestFinished(() => host[Symbol.asyncDispose]());
	await host.ip(`link add eth0 index 70 type veth peer name wire
link set eth0 addrgenmode none
addr add 2001:db8:0:1::1/64 dev eth0 nodad
addr add 192.0.2.1/24 dev eth0
link set eth0 up
`);
	const words = ['--device', 'ipvlan-l2', '--forward', 'native', '--uplink', 'eth0,2001:db8:0:1::2'];
	const said = await host.pathproof('net', 'add', 'web', ...words, '--ipv6', '2001:db8:0:2::10', '--dry-run');
	expect(said).toMatchObject({ code: 0, stderr: '' });
	expect(said.stdout.split('\n').slice(2, 7)).toEqual([
		'ip netns add pathproof.hold',
		'ip link add link eth0 name hold.70 netns pathproof.hold type ipvlan mode l2 private',
		'ip -n pathproof.hold addr add 2001:db8:0:1::1/128 dev hold.70 nodad',
		'ip -n pathproof.hold addr add 192.0.2.1/32 dev hold.70',
		'ip netns add web',
	]);
});
