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

/** b of y = a·xᵇ, by least squares of the logarithms: 0 is flat, 1 in proportion. Of two points at least; all above 0. */
export function exponentOf(points: readonly (readonly [x: number, y: number])[]): number {
	const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
	const mean = (of: (log: readonly [number, number]) => number) =>
		logs.reduce((sum, log) => sum + of(log), 0) / logs.length;
	const [x, y] = [mean(([x]) => x), mean(([, y]) => y)];
	return mean((log) => (log[0] - x) * (log[1] - y)) / mean((log) => (log[0] - x) ** 2);
}
