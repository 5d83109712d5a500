import { describe, expect, test } from 'vitest';
import { parsePath, parseStep, path } from './path.ts';

describe('a path is read', () => {
	test('as hops divided by commas, over as many lines as one likes', () => {
		const written = path`
			web:eth0 xmit,
			host:web ingress[egress_neigh → redirect],
			…,
			peer udp deliver,
		`;
		expect(`${written}`).toBe('web:eth0 xmit, host:web ingress[egress_neigh → redirect], …, peer udp deliver');
	});

	test('with names and whole paths put into it', () => {
		const wire = path`host:eth0 xmit, peer:eth0 receive`;
		expect(`${path`host:${'web'} ingress, ${wire}, peer udp deliver`}`).toBe(
			'host:web ingress, host:eth0 xmit, peer:eth0 receive, peer udp deliver',
		);
	});

	test.each([
		['host:web ingress', { attach: null, program: null, verdict: null }],
		['host:web ingress[egress_neigh]', { attach: null, program: 'egress_neigh', verdict: null }],
		['host:web ingress[netkit]', { attach: 'netkit', program: null, verdict: null }],
		['host:web ingress[-> drop]', { attach: null, program: null, verdict: 'drop' }],
		[
			'host:web ingress[netkit egress_neigh → redirect]',
			{ attach: 'netkit', program: 'egress_neigh', verdict: 'redirect' },
		],
	])('%s', (text, ran) => {
		expect(parseStep(text)).toEqual({ hop: 'host:web ingress', ...ran });
	});
});

describe('what is no path is refused with what to write instead', () => {
	test.each([
		'',
		',',
		'web:eth0 xmit,, peer udp deliver',
		'web[',
		'web:eth0 xmit → peer',
		'web[a b c]',
		'web[]',
		'web[x →]',
		'web[x → teleport]',
	])('%j', (text) => {
		expect(() => parsePath(text)).toThrow(
			expect.objectContaining({ stage: 'usage', hint: expect.stringMatching(/write|use one of/) }),
		);
	});
});
