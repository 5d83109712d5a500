/** The cells of the matrix: device and way of forwarding, by family, protocol and direction. Those that there are not, and why. */
import { DEVICES, type Device, FORWARDS_OF, type Forward } from '../../impl/container.ts';
import type { FeatureName } from '../../kernels/features.ts';
import { turn } from '../support/turns.ts';
import type { Column, Direction, Family, Row } from './ways.ts';

export const PROTOCOLS = ['tcp', 'udp connected', 'udp unconnected', 'icmp', 'multicast'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export interface Cell extends Row, Column {
	protocol: Protocol;
}

export const DIRECTIONS: readonly Direction[] = ['out', 'in', 'between'];
export const FAMILIES: readonly Family[] = [6, 4];

/** What a row needs of the kernel, by its words. */
const NEEDS: Partial<Record<Device | Forward, FeatureName>> = {
	veth: 'veth',
	'netkit-l2': 'netkit',
	'netkit-l3': 'netkit',
	'ipvlan-l2': 'ipvlan',
	'ipvlan-l3': 'ipvlan',
	'ipvlan-l3s': 'ipvlan',
	'redirect-egress': 'redirect-peer-egress',
};

export function needsOf({ device, forward }: Row): FeatureName[] {
	return [NEEDS[device], NEEDS[forward]].filter((feature) => feature !== undefined);
}

/** Beyond what its row needs. */
export const CELL_NEEDS: readonly { of: Pattern; feature: FeatureName; why: string }[] = [
	{
		of: { kind: 'slave', protocol: 'multicast' },
		feature: 'tcx',
		why: 'without a guard, which needs a TCX link, it is ipvlan alone that decides where a group ends',
	},
];

type Pattern = Partial<Cell> & { kind?: 'pair' | 'slave' };

function isOf(cell: Cell, pattern: Pattern): boolean {
	const kind = cell.device.startsWith('ipvlan-') ? 'slave' : 'pair';
	const words: Pattern = { ...cell, kind };
	return Object.entries(pattern).every(([name, word]) => words[name as keyof Pattern] === word);
}

/** The cells that a kernel has, by what its features are. */
export function cellsOn(has: (feature: FeatureName) => boolean, cells: readonly Cell[] = CELLS): Cell[] {
	return cells.filter(
		(cell) => needsOf(cell).every(has) && CELL_NEEDS.every(({ of, feature }) => !isOf(cell, of) || has(feature)),
	);
}

/** What no kernel has. */
export const MISSING: readonly { of: Pattern; why: string }[] = [
	{
		of: { device: 'none', direction: 'between', protocol: 'multicast' },
		why: 'both are sockets of one netns: a group reaches them by the loop that the sending stack makes, before any device',
	},
	{
		of: { kind: 'slave', direction: 'between' },
		why: 'slaves are private: the kernel hands nothing from one to another, and the datapath has no place between them',
	},
];

/** Pairs of words that are no row. */
export const NO_ROWS: readonly { device: Device | 'ipvlan' | 'netkit'; forwards: readonly Forward[]; why: string }[] = [
	{
		device: 'none',
		forwards: ['stack', 'redirect', 'fib', 'redirect-egress'],
		why: 'there is nothing to forward between: the container sends with the addresses of its host, by its uplink',
	},
	...(['veth', 'netkit'] as const).map((device) => ({
		device,
		forwards: ['native'] as const,
		why: 'a pair has an end on the host, and what becomes of a packet there is chosen: it is one of the others',
	})),
	{
		device: 'ipvlan',
		forwards: ['stack', 'redirect', 'fib', 'redirect-egress'],
		why: 'a slave hands its packets to the uplink itself: no device of the host is between, where a program could redirect',
	},
];

export const ROWS: readonly Row[] = DEVICES.flatMap((device) =>
	FORWARDS_OF[device].map((forward) => ({ device, forward })),
);

const ALL: readonly Cell[] = ROWS.flatMap((row) =>
	DIRECTIONS.flatMap((direction) =>
		FAMILIES.flatMap((family) => PROTOCOLS.map((protocol) => ({ ...row, direction, family, protocol }))),
	),
);

export const CELLS: readonly Cell[] = ALL.filter((cell) => reasonMissing(cell) === null);

/** Why there is no such cell; null where there is. */
export function reasonMissing(cell: Cell): string | null {
	const found = MISSING.find(({ of }) => isOf(cell, of));
	return found?.why ?? null;
}

/** Those of one row in one direction and family: a test, and a fork. */
export function cellsOf(row: Row, { direction, family }: Column): Cell[] {
	return CELLS.filter(
		(cell) =>
			cell.device === row.device &&
			cell.forward === row.forward &&
			cell.direction === direction &&
			cell.family === family,
	);
}

/** What runs by default, on one of the kernels of a run that have it: of each row one column, of each column one row at least. */
const SAMPLE: Record<string, `${Direction} ${Family}`> = {
	'none native': 'out 6',
	'veth stack': 'in 6',
	'veth redirect': 'in 4',
	'veth fib': 'between 4',
	'veth redirect-egress': 'between 6',
	'netkit-l2 stack': 'out 6',
	'netkit-l2 redirect': 'out 4',
	'netkit-l2 fib': 'in 6',
	'netkit-l2 redirect-egress': 'out 4',
	'netkit-l3 stack': 'in 4',
	'netkit-l3 redirect': 'out 6',
	'netkit-l3 fib': 'between 6',
	'netkit-l3 redirect-egress': 'between 4',
	'ipvlan-l2 native': 'in 6',
	'ipvlan-l3 native': 'out 4',
	'ipvlan-l3s native': 'in 4',
};

export function isSampled({ device, forward }: Row, { direction, family }: Column): boolean {
	return SAMPLE[`${device} ${forward}`] === `${direction} ${family}`;
}

/** Options of a test that runs by default: on one kernel of a run, the same for all tests of a row, so that they share its lab. */
export function turnOf(row: Row): { tags: string[] } {
	const n = ROWS.findIndex(({ device, forward }) => device === row.device && forward === row.forward);
	return turn(n, ...needsOf(row));
}
