import { expect, test } from 'vitest';
import { socketCalls } from './strace.ts';

const six = (address: string) =>
	`{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "${address}", &sin6_addr), sin6_scope_id=0}`;

test('a program is told by the addresses that it names and is shown, each call by its hook', () => {
	const trace = [
		'7 socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3',
		`7 bind(3, ${six('::')}, 28) = 0`,
		`7 accept4(3, 0x7f80, [112], SOCK_NONBLOCK) = -1 EAGAIN (Resource temporarily unavailable)`,
		`7 accept4(3, ${six('2001:db8::2')}, [112 => 28], SOCK_NONBLOCK) = 4`,
		`7 getsockname(4, ${six('2001:db8::10')}, [112 => 28]) = 0`,
		'7 socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 5',
		`7 connect(5, ${six('2001:db8::2')}, 28) = -1 EINPROGRESS (Operation now in progress)`,
		'7 socket(AF_UNIX, SOCK_STREAM, 0) = 6',
		`7 getsockname(6, {sa_family=AF_UNIX}, [128 => 2]) = 0`,
	].join('\n');
	expect(socketCalls(trace, 'tcp')).toEqual({
		bind: ['::'],
		accept: ['2001:db8::2'],
		getsockname: ['2001:db8::10'],
		connect: ['2001:db8::2'],
	});
	expect(socketCalls(trace, 'udp')).toEqual({});
});

test('a source in ancillary data is no destination, and a refusal stands beside its address', () => {
	const name = '{sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.2")}';
	const info = '{ipi_ifindex=0, ipi_spec_dst=inet_addr("192.0.2.1"), ipi_addr=inet_addr("0.0.0.0")}';
	const control = `msg_control=[{cmsg_len=28, cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO, cmsg_data=${info}}], msg_controllen=32`;
	const trace = [
		'8 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3',
		`8 sendmsg(3, {msg_name=${name}, msg_namelen=16, ${control}, msg_flags=0}, 0) = -1 EPERM (Operation not permitted)`,
		`8 sendto(3, "x", 1, 0, NULL, 0) = 1`,
	].join('\n');
	expect(socketCalls(trace, 'udp')).toEqual({ sendmsg: ['192.0.2.2 +pktinfo EPERM'] });
});

test('a call that another process interrupts is one call', () => {
	const trace = [
		'9 socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) = 3',
		'9 recvfrom(3,  <unfinished ...>',
		'10 close(4) = 0',
		`9 <... recvfrom resumed>"x", 10, 0, ${six('2001:db8::2')}, [128 => 28]) = 1`,
	].join('\n');
	expect(socketCalls(trace, 'udp')).toEqual({ recvmsg: ['2001:db8::2'] });
});
