import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PICTURE, picture, readTour } from './picture.ts';

test("the README's picture is what the tour said: node vmtests/support/tour/picture.ts", () => {
	expect(readFileSync(PICTURE, 'utf8')).toBe(picture(readTour()));
});
