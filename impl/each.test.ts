import { expect, test } from 'vitest';
import { throwAll, tryEach } from './each.ts';
import { DatapathError } from './errors.ts';

test('one container that cannot be taken away keeps none of the later ones, and all that failed is said', async () => {
	const taken: string[] = [];
	const held = (name: string) => new DatapathError(`a process still has a socket of ${name}`, { hint: 'end it' });
	const { done, errors } = await tryEach(['api', 'cache', 'db', 'web'], async (name) => {
		if (name === 'api' || name === 'db') throw held(name);
		taken.push(name);
	});
	expect(taken).toEqual(['cache', 'web']);
	expect(done).toEqual(['cache', 'web']);
	expect(errors).toEqual([held('api'), held('db')]);
	expect(() => throwAll(errors, 'pathproof net gc')).toThrow(
		'2 things could not be done\na process still has a socket of api\ntry: end it\na process still has a socket of db\ntry: end it\ntry: pathproof net gc',
	);
	expect(() => throwAll([held('api')], 'pathproof net gc')).toThrow(held('api'));
	expect(() => throwAll([], 'pathproof net gc')).not.toThrow();
});
