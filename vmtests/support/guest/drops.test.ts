import { expect, test } from 'vitest';
import { functionAt } from './drops.ts';

const KALLSYMS = `ffffffff81000000 T _text
ffffffff81a00000 t ip6_rcv_core
ffffffff81a00100 T __udp6_lib_rcv
ffffffff81a00180 d not_a_function
ffffffff81a00400 T udpv6_rcv
ffffffffc0001000 t veth_xmit	[veth]
`;

test('an address belongs to the last function before it', () => {
	expect(functionAt(KALLSYMS, 0xffffffff81a001f0n)).toBe('__udp6_lib_rcv');
	expect(functionAt(KALLSYMS, 0xffffffff81a00400n)).toBe('udpv6_rcv');
});

test('functions of modules count as well', () => {
	expect(functionAt(KALLSYMS, 0xffffffffc0001234n)).toBe('veth_xmit');
});

test('an address before all functions is its own name', () => {
	expect(functionAt(KALLSYMS, 0x1234n)).toBe('0x0000000000001234');
});
