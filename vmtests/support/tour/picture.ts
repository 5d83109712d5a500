/**
 * The README's picture, from what the tour said:
 *
 *     npx pathproof tour --json > fixtures/pictures/tour.json
 *     node vmtests/support/tour/picture.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type TourDocument, tourDocument } from '../schema/trace.ts';
import { type Line, span } from './line.ts';
import { PICTURE_WIDTH } from './route.ts';
import { showComparison } from './show.ts';
import { toSvg } from './svg.ts';

const fixture = (name: string) => fileURLToPath(new URL(`../../../fixtures/pictures/${name}`, import.meta.url));

/** Of the tour's first device. */
export function picture({ kernel, accel, device, traces }: TourDocument): string {
	const [redirect, stack] = ['redirect', 'stack'].map(
		(forward) => traces.find((trace) => trace.device === device && trace.forward === forward)!.packets,
	);
	const head: Line = [span('$ npm start', 'title'), span(`   linux ${kernel}, ${accel}`, 'detail')];
	return toSvg([head, ...showComparison({ device, redirect: redirect!, stack: stack! }, PICTURE_WIDTH)], head[0]!.text);
}

export function readTour(): TourDocument {
	return tourDocument.parse(JSON.parse(readFileSync(fixture('tour.json'), 'utf8')));
}

export const PICTURE = fixture('tour.svg');

if (import.meta.main) writeFileSync(PICTURE, picture(readTour()));
