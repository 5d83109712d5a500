/**
 * Device, way of forwarding, family, protocol, direction: real programs talk, and each packet takes exactly the hops that ways.ts writes
 * down. A test is one row in one direction and family, all protocols in one guest; by default one of each row, on one of the default
 * kernels, with --full all.
 */
import {
	DUPLICATES,
	describe,
	expect,
	type Lab,
	type LabRequest,
	type Node,
	type PacketPath,
	path,
	test,
	withoutRepeats,
} from 'pathproof';
import type { Device } from '../../impl/container.ts';
import { featureClaim } from '../../kernels/features.ts';
import { reasonsHere } from '../drops/causes.ts';
import { FULL } from '../support/config.ts';
import { type Cell, cellsOf, cellsOn, DIRECTIONS, FAMILIES, isSampled, needsOf, ROWS, turnOf } from './cells.ts';
import { CLIENTS } from './clients.ts';
import { expectSocketKept, expectSocketLost } from './owners.ts';
import {
	backlogs,
	type Column,
	type Direction,
	isForwarded,
	type KernelWays,
	multicastEnd,
	type Row,
	wayOf,
} from './ways.ts';

const SENTENCES = {
	out: 'sends to the peer',
	in: 'is reached by the peer',
	between: 'reaches its neighbour on the same host',
} as const;

/** Who sends, and who receives. */
const ENDS: Record<Direction, (lab: Lab) => [from: Node, to: Node]> = {
	out: ({ web, peer }) => [web, peer],
	in: ({ web, peer }) => [peer, web],
	between: ({ web, api }) => [web, api],
};

/** A test for each cell of these devices. */
export function testMatrix(devices: readonly Device[]): void {
	for (const row of ROWS.filter(({ device }) => devices.includes(device))) testRow(row);
}

function testRow(row: Row): void {
	describe(`a container on ${row.device}, ${row.forward}`, () => {
		for (const direction of DIRECTIONS)
			for (const family of FAMILIES) {
				const column = { direction, family };
				if (!cellsOf(row, column).length) continue;
				const { tags } = isSampled(row, column) ? turnOf(row) : { tags: [FULL] };
				test(`${SENTENCES[direction]} by IPv${family}`, { tags }, async ({ lab, requires, kernel }) => {
					await requires(...needsOf(row));
					const has = (feature: Parameters<typeof featureClaim>[1]) => featureClaim(kernel, feature).claim === 'has';
					const ways = { tcx: has('tcx') };
					const here = await lab({ ...row, ...containersOf(column), ...guardOf(row, ways) });
					for (const cell of cellsOn(has, cellsOf(row, column))) await check(here, cell, ways);
				});
			}
	});
}

/** Without a second one the lab is the one of other chapters. */
function containersOf({ direction }: Column): Pick<LabRequest, 'containers'> {
	return direction === 'between' ? { containers: { web: {}, api: {} } } : {};
}

/** A kernel that cannot guard a slave refuses to try: what it does then, it does unguarded. */
function guardOf({ device }: Row, { tcx }: KernelWays): { guard?: false } {
	return device.startsWith('ipvlan-') && !tcx ? { guard: false } : {};
}

async function check(lab: Lab, cell: Cell, ways: KernelWays): Promise<void> {
	const [from, to] = ENDS[cell.direction](lab);
	const { talk, answered } = CLIENTS[cell.protocol];
	const trace = await talk({ lab, from, to, family: cell.family });
	const end = cell.protocol === 'multicast' ? multicastEnd(cell, cell, ways) : null;
	if (end) {
		const sent = startingIn(trace.packets, from);
		expect(sent).toBeDroppedAt(end.way.split(', ').at(-1)!, reasonsHere(trace, end.reasons));
		expect(sent).toFollowPath(path`${end.way}, …`);
		// a group may have several readers, each with a copy
		expect(trace.packets.filter(({ fate }) => fate === 'delivered')).toEqual([]);
		return;
	}
	const socket = { tcp: 'tcp', icmp: 'icmp' }[cell.protocol as string] ?? 'udp';
	const there = path`${wayOf(cell, cell, ways)}, ${to.netns ?? 'host'} ${socket} deliver`;
	const packets = withoutRepeats(trace.packets);
	expect(packets).toFollowPath(there, { ignoring: DUPLICATES });
	judgeHost(cell, startingIn(packets, from), cell.direction);
	if (!answered) return;
	const back = path`${wayOf(cell, cell, ways, true)}, ${from.netns ?? 'host'} ${socket} deliver`;
	expect(packets).toFollowPath(back, { ignoring: DUPLICATES });
	judgeHost(cell, startingIn(packets, to), ({ out: 'in', in: 'out', between: 'between' } as const)[cell.direction]);
}

/** What the path says of the host, said by name: how often a packet waits there, whether its stack has it, whose it still is. */
function judgeHost(row: Row, packets: PacketPath[], direction: Column['direction']): void {
	const forwarded = isForwarded(row);
	expect(packets).toTakeHops({ backlog: backlogs(row, direction), forward: forwarded ? 1 : 0 });
	if (!forwarded) {
		expect(packets).not.toTraverse('ip6_forward');
		expect(packets).not.toTraverse('ip_forward');
	}
	if (forwarded) expectSocketLost(packets);
	else expectSocketKept(packets);
}

function startingIn(packets: readonly PacketPath[], { netns }: Node): PacketPath[] {
	return packets.filter(({ events }) => events[0]!.netns === (netns ?? 'host'));
}
