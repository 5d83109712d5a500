import { expect, test } from 'vitest';
import { containerSpec } from '../container.ts';
import { heldSockets, ssArgs } from './connections.ts';

test('the sockets of a container are those of its addresses, and of its ports at addresses that it shares', () => {
	const spec = containerSpec({
		name: 'web',
		device: 'none',
		forward: 'native',
		ipv6: '2001:db8::10',
		ipv4: '198.51.100.10',
		identity: { shares: [{ address: '2001:db8::80', port: 443, protocol: 'tcp' }] },
	});
	const both = '--no-header --numeric --all --extended';
	expect(ssArgs(spec).map((args) => args.join(' '))).toEqual([
		`${both} --tcp --udp state all exclude time-wait ( src [2001:db8::10] or src 198.51.100.10 )`,
		`${both} --tcp state all exclude time-wait ( ( src [2001:db8::80] and sport = :443 ) )`,
	]);
});

test('who holds a socket is named; what nobody holds is no matter', () => {
	const said = [
		'udp UNCONN 0 0 [2001:db8::10]:53 [::]:* users:(("dns server",pid=37,fd=4),("other",pid=38,fd=4)) ino:41 sk:1 cgroup:/ <->',
		'udp UNCONN 0 0 [2001:db8::10]:54 [::]:* ino:42 sk:2 cgroup:/ <->',
		'tcp FIN-WAIT-1 0 3782145 [2001:db8::10]:45051 [2001:db8::11]:80 timer:(persist,376ms,0) ino:0 sk:3 cgroup:/ ---',
	];
	const held = [
		{ socket: '[2001:db8::10]:53', who: 'dns server (pid 37)' },
		{ socket: '[2001:db8::10]:54', who: 'a process' },
	];
	expect(heldSockets(`${said.join('\n')}\n`)).toEqual(held);
	// as where one protocol was asked for
	expect(heldSockets(said.map((line) => line.slice(4)).join('\n'))).toEqual(held);
});
