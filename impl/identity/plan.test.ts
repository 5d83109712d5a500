import { expect, test } from 'vitest';
import { containerSpec } from '../container.ts';
import { type ContainerRecord, othersThan } from '../state/records.ts';
import { planIdentity } from './plan.ts';

const SERVE = { address: '2001:db8::80', port: 80, protocol: 'tcp', to: 8080, sticky: false } as const;
const served = (name: string, ipv6: string) =>
	containerSpec({ name, device: 'none', forward: 'native', ipv6, identity: { serves: [SERVE] } });
const records = (count: number, state: ContainerRecord['state']): ContainerRecord[] =>
	Array.from({ length: count }, (_, number) => ({
		state,
		spec: served(`${state}${number}`, `2001:db8:1::${(number + 1).toString(16)}`),
	}));

test('behind a service there are 32 containers at most, of those that are there', () => {
	const web = served('web', '2001:db8::10');
	const plan = (all: ContainerRecord[]) => () => planIdentity(web, othersThan(new Set(['web']), all));
	const notThere = [...records(5, 'adding'), ...records(5, 'removing')];
	expect(plan([...records(31, 'ready'), ...notThere])).not.toThrow();
	expect(plan([...records(32, 'ready'), ...notThere])).toThrow(
		'tcp port 80 of 2001:db8::80 has 32 containers behind it already',
	);
	// its own record of an interrupted call
	expect(plan([...records(31, 'ready'), { state: 'ready', spec: web }])).not.toThrow();
});
