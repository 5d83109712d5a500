import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { containerSpec } from '../../../impl/container.ts';
import { DOCUMENTS, jsonSchema } from './documents.ts';
import { bootDocument } from './machine.ts';
import { netLsDocument } from './net.ts';
import { traceDocument } from './trace.ts';

test.each(Object.keys(DOCUMENTS) as (keyof typeof DOCUMENTS)[])(
	'fixtures/schemas/%s.json is what `node vmtests/support/schema/write.ts` writes',
	(name) => {
		const written = readFileSync(new URL(`../../../fixtures/schemas/${name}.json`, import.meta.url), 'utf8');
		expect(JSON.parse(written)).toEqual(JSON.parse(jsonSchema(name)));
	},
);

describe('the documents of the design', () => {
	const hop = {
		hop: 'host:web ingress',
		netns: 'host',
		device: 'web',
		attach: 'netkit',
		program: 'egress_neigh',
		verdict: 'redirect',
		symbol: 'netkit_xmit',
		time: 37_685_348_734,
		socket: true,
		softirq: false,
		mark: 0,
		instructions: null,
	};
	const packet = {
		family: 6,
		protocol: 'udp',
		source: 'fd00::2',
		destination: 'fd01::2',
		sourcePort: 40000,
		destinationPort: 53,
		detail: '',
	};
	const trace = {
		schema: 1,
		profile: 'functional',
		kernel: '7.3.4',
		accel: 'tcg',
		device: 'netkit-l3',
		forward: 'redirect',
		packets: [
			{ direction: 'out', delivered: true, fate: 'delivered', lostEvents: 0, packet, nonce: null, hops: [hop] },
		],
	};
	const boot = {
		schema: 1,
		profile: 'functional',
		accel: 'tcg',
		qemu: '10.0.2',
		kernels: [
			{
				kernel: '6.12.117',
				flavour: 'cloud',
				tier: 'full',
				runs: 5,
				coldMs: 9800,
				restoreMs: 240,
				ratio: 40.8,
				privateMiB: 35,
				waitMs: 0.4,
			},
		],
	};

	test('of trace and bench boot are accepted', () => {
		expect(traceDocument.parse(trace)).toEqual(trace);
		expect(bootDocument.parse(boot)).toEqual(boot);
	});

	test('lose no field unnoticed', () => {
		const { accel: _, ...without } = trace;
		expect(() => traceDocument.parse(without)).toThrow(/accel/);
		expect(() =>
			traceDocument.parse({ ...trace, packets: [{ ...trace.packets[0], hops: [{ ...hop, softirq: undefined }] }] }),
		).toThrow(/softirq/);
	});
});

test('all that an identity container can be asked to be is in the document of net ls', () => {
	const spec = containerSpec({ name: 'web', device: 'none', forward: 'native', ipv6: '2001:db8::10', identity: {} });
	const list = { schema: 1, containers: [{ state: 'ready', ...spec }] };
	expect(netLsDocument.parse(list)).toEqual(list);
});
