/** Of figures that were measured several times. */

export function medianOf(figures: readonly number[]): number {
	const sorted = figures.toSorted((a, b) => a - b);
	const middle = Math.floor(sorted.length / 2);
	return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How far apart they are: the greatest less the least, over the median; 0 where all are 0. */
export function spreadOf(figures: readonly number[]): number {
	const apart = Math.max(...figures) - Math.min(...figures);
	return apart && apart / medianOf(figures);
}
