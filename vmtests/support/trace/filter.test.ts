import { describe, expect, test } from 'vitest';
import { parseFilter } from './filter.ts';

describe('a filter is read', () => {
	test.each([
		['', {}],
		['udp port 53', { protocol: 'udp', port: 53 }],
		['ip6  tcp port  443 ', { family: 6, protocol: 'tcp', port: 443 }],
		['ip', { family: 4 }],
		['ip6 icmp', { family: 6, protocol: 'icmp' }],
		['port 80', { port: 80 }],
	])('%j', (text, filter) => {
		expect(parseFilter(text)).toEqual(filter);
	});
});

describe('what is none is refused, and the grammar is named', () => {
	test.each([
		'upd',
		'udp 53',
		'port',
		'port 0',
		'port 65536',
		'port 53 udp',
		'icmp port 7',
		'udptcp',
		'ip 6',
		'src host a',
	])('%j', (text) => {
		expect(() => parseFilter(text)).toThrow(
			expect.objectContaining({
				stage: 'usage',
				message: expect.stringContaining(`"${text}" is no filter`),
				hint: "write [ip|ip6] [tcp|udp|icmp] [port N], e.g. --filter 'udp port 53'",
			}),
		);
	});
});
