import { expect, test } from 'vitest';
import { slots } from './services.ts';

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
