import { expect, test } from 'vitest';
import { type ContainerSpec, containerSpec } from '../container.ts';
import type { ContainerRecord } from '../state/records.ts';
import { cgroupRoot } from '../tls/private-host.ts';
import { backendsOf, slots } from './services.ts';

const NAMES = ['web:80', 'api:80', 'db:80', 'db:81'];

test('each of those behind a service has its share of the slots', () => {
	const shares = NAMES.map((_, place) => slots(NAMES).filter((one) => one === place).length);
	expect(shares).toEqual([60, 59, 73, 64]);
	expect(slots(['alone'])).toEqual(Array(256).fill(0));
});

test('of one that goes only its own slots change hands', () => {
	const before = slots(NAMES).map((place) => NAMES[place]);
	const left = NAMES.filter((name) => name !== 'api:80');
	const after = slots(left).map((place) => left[place]);
	const changed = before.filter((name, slot) => name !== after[slot]);
	expect(new Set(changed)).toEqual(new Set(['api:80']));
	expect(after).not.toContain('api:80');
});

test('behind a service is who is ready, and who is just being added; whoever was left half removed does not come back, nor whose cgroup is gone', ({
	skip,
}) => {
	const cgroup = cgroupRoot();
	skip(cgroup === null, 'needs a mounted cgroup2');
	const identity = (name: string, path = cgroup) =>
		containerSpec({ name, device: 'none', forward: 'native', ipv6: '2001:db8::10', identity: { cgroup: path } });
	const record = (state: ContainerRecord['state'], spec: ContainerSpec) => ({ state, spec });
	const api = identity('api');
	const records = [
		record('adding', api),
		record('adding', identity('cache')),
		record('ready', identity('db')),
		record('ready', identity('dead', `${cgroup}/is-gone`)),
		record('ready', containerSpec({ name: 'plain', device: 'none', forward: 'native' })),
		record('removing', identity('web')),
	];
	const names = (changed: ContainerSpec | null) => backendsOf(records, changed).map(({ name }) => name);
	expect(names(api)).toEqual(['db', 'api']);
	expect(names(null)).toEqual(['db']);
	const drained = containerSpec({ ...identity('db'), identity: { cgroup, drained: true } });
	expect(backendsOf(records, drained)).toEqual([drained]);
});
