/** The programs and maps of the datapath: loaded once for a host, pinned, and found again by whoever comes later. */
import { closeSync, existsSync, mkdirSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatapathError } from '../errors.ts';
import { COUNTS } from '../identity/counts.ts';
import { IDENTITY_PROGRAMS, LOW_PORTS } from '../identity/programs.ts';
import { getPinned, hasLinkKind, pin } from '../libbpf/attach.ts';
import { mapSizes } from '../libbpf/enumerate.ts';
import { BpfMap } from '../libbpf/map.ts';
import { BpfObject } from '../libbpf/object.ts';
import { bpfObjectPath } from '../objects.ts';
import { TLS_PROGRAMS } from '../tls/programs.ts';

/** All that outlives a process, in bpffs. */
export const PIN_ROOT = '/sys/fs/bpf/pathproof';
/** Where a first load is put together (bpffs takes no dots); it becomes PIN_ROOT in one rename, and is never used half made. */
export const PIN_ROOT_IN_THE_MAKING = `${PIN_ROOT}-new`;
const PIN_ROOT_OF_BEFORE = `${PIN_ROOT}-old`;

/** Bytes of a key and of a value, as in bpf/include/policy.h, identity.h, tls.h and the programs' own files. */
const MAPS: Record<MapName, readonly [number, number]> = {
	containers: [4, 108],
	endpoints: [16, 48],
	allowed: [32, 1],
	drops: [12, 8],
	records: [16, 1024],
	sending: [4, 16],
	waiting: [8, 16],
	identities: [8, 112],
	shares: [24, 8],
	services: [24, 900],
	counts: [8, 8 * COUNTS.length],
	sockets: [4, 56],
	answers: [4, 324],
	tls_policies: [32, 8],
	tls_flows: [8, 88],
	tls_tuples: [40, 8],
	tls_originals: [4, 20],
	tls_aliases: [16, 64],
	tls_ways: [32, 16],
	tls_connected: [4, 16],
	tls_ns: [4, 56],
	tls_ns_ends: [4, 4],
	tls_ns_proxies: [4, 4],
	tls_ns_policies: [32, 8],
	tls_ns_aliases: [24, 32],
	tls_ns_pieces: [40, 16],
};
export type MapName =
	| 'containers'
	| 'endpoints'
	| 'allowed'
	| 'drops'
	| 'records'
	| 'sending'
	| 'waiting'
	| 'identities'
	| 'shares'
	| 'services'
	| 'counts'
	| 'sockets'
	| 'answers'
	| 'tls_policies'
	| 'tls_flows'
	| 'tls_tuples'
	| 'tls_originals'
	| 'tls_aliases'
	| 'tls_ways'
	| 'tls_connected'
	| 'tls_ns'
	| 'tls_ns_ends'
	| 'tls_ns_proxies'
	| 'tls_ns_policies'
	| 'tls_ns_aliases'
	| 'tls_ns_pieces';

/** What each object brings; maps that another has brought already are shared. */
const OBJECTS = {
	redirect: {
		programs: ['egress_guard', 'egress_neigh', 'egress_fib', 'ingress_peer'],
		maps: ['containers', 'endpoints', 'allowed', 'drops', 'records'],
	},
	ipvlan: {
		programs: [
			'slave_guard',
			'slave_ingress',
			'ipvlan_takes',
			'ipvlan_has_sent',
			'forget_dropped',
			'output_guard',
			'uplink_guard',
			'uplink_ingress',
		],
		maps: ['sending', 'waiting'],
	},
	identity: {
		programs: IDENTITY_PROGRAMS,
		maps: ['identities', 'shares', 'services', 'counts', 'sockets', 'answers'],
	},
	low_ports: { programs: LOW_PORTS, maps: [] },
	tls_connect: {
		programs: TLS_PROGRAMS.tls_connect,
		maps: ['tls_policies', 'tls_flows', 'tls_tuples', 'tls_originals'],
	},
	tls_udp: { programs: TLS_PROGRAMS.tls_udp, maps: ['tls_aliases', 'tls_ways', 'tls_connected'] },
	tls_netns: {
		programs: TLS_PROGRAMS.tls_netns,
		maps: ['tls_ns', 'tls_ns_ends', 'tls_ns_proxies', 'tls_ns_policies', 'tls_ns_aliases', 'tls_ns_pieces'],
	},
} as const;
export type ObjectName = keyof typeof OBJECTS;
export type ProgramName = (typeof OBJECTS)[ObjectName]['programs'][number];

export function isLoaded(object: ObjectName = 'redirect'): boolean {
	return isPinned('programs', markOf(object));
}

/** The last of an object that is put in place, in every version: what later ones add stands behind it. */
function markOf(object: ObjectName): ProgramName {
	return OBJECTS[object].programs[0];
}

function isPinned(kind: 'programs' | 'maps', name: string): boolean {
	return existsSync(pinPath(kind, name));
}

/** The object that brings a program. */
export function objectOf(program: ProgramName): ObjectName {
	return (Object.keys(OBJECTS) as ObjectName[]).find((name) => OBJECTS[name].programs.some((one) => one === program))!;
}

/** Loads and pins what is not there yet. What an interrupted call left half made is made anew. */
export function ensureLoaded(object: ObjectName = 'redirect'): void {
	if (isLoaded(object)) return;
	for (const path of halfMade()) rmSync(path, { recursive: true });
	for (const kind of ['programs', 'maps'] as const) mkdirSync(join(PIN_ROOT_IN_THE_MAKING, kind), { recursive: true });
	loadAndPin(object, PIN_ROOT_IN_THE_MAKING);
	if (object === 'redirect') {
		for (const folder of ['attachments', 'identities']) mkdirSync(join(PIN_ROOT_IN_THE_MAKING, folder));
		renameSync(PIN_ROOT_IN_THE_MAKING, PIN_ROOT);
		return;
	}
	const place = (kind: 'programs' | 'maps', name: string) =>
		renameSync(join(PIN_ROOT_IN_THE_MAKING, kind, name), pinPath(kind, name));
	for (const name of OBJECTS[object].maps) place('maps', name);
	for (const name of [...OBJECTS[object].programs].reverse()) place('programs', name);
	rmSync(PIN_ROOT_IN_THE_MAKING, { recursive: true });
}

/** The kernel forgets programs and maps once nothing holds them: links first. In one rename, so that nobody finds half of it. */
export function unload(): void {
	if (existsSync(PIN_ROOT)) {
		rmSync(PIN_ROOT_OF_BEFORE, { recursive: true, force: true });
		renameSync(PIN_ROOT, PIN_ROOT_OF_BEFORE);
	}
	for (const path of halfMade()) rmSync(path, { recursive: true });
}

/** Of one object whose programs nobody needs any more, the pin first that says that it is loaded. */
export function unpin(object: ObjectName): void {
	for (const path of pinsOf(object)) if (existsSync(path)) unlinkSync(path);
}

function pinsOf(name: ObjectName): string[] {
	const { programs, maps } = OBJECTS[name];
	return [...programs.map((one) => pinPath('programs', one)), ...maps.map((one) => pinPath('maps', one))];
}

/** Those of which something is pinned: as a whole, or by a call that was killed. */
export function pinnedObjects(): ObjectName[] {
	return (Object.keys(OBJECTS) as ObjectName[]).filter((name) => pinsOf(name).some((path) => existsSync(path)));
}

/** What an interrupted `ensureLoaded` or `unload` left. */
export function halfMade(): string[] {
	return [PIN_ROOT_IN_THE_MAKING, PIN_ROOT_OF_BEFORE].filter((path) => existsSync(path));
}

/** Those that are pinned. */
export function loadedObjects(): ObjectName[] {
	return (Object.keys(OBJECTS) as ObjectName[]).filter((name) => isLoaded(name));
}

export interface Anew extends Disposable {
	programs: [ProgramName, number][];
	/** those that an earlier version, which pinned the others, did not have */
	maps: BpfMap[];
}

/**
 * The programs of an object that is pinned, loaded once more over its pinned maps; they go with what is answered here. `brought`: maps
 * that no version has pinned yet, and another object has made.
 */
export function loadProgramsAnew(name: ObjectName, brought: readonly BpfMap[]): Anew {
	const object = BpfObject.open(bpfObjectPath(name));
	const used = (Object.keys(MAPS) as MapName[]).filter((map) => object.hasMap(map));
	const missing = OBJECTS[name].maps.filter((map) => !isPinned('maps', map));
	try {
		shareMaps(
			object,
			used.filter((map) => isPinned('maps', map)),
		);
		for (const map of brought) if (object.hasMap(map.name)) object.shareMap(map);
		object.load();
	} catch (error) {
		object[Symbol.dispose]();
		throw error;
	}
	return {
		programs: OBJECTS[name].programs.map((program) => [program, object.programFd(program)]),
		maps: missing.map((map) => object.map(map, ...MAPS[map])),
		[Symbol.dispose]: () => object[Symbol.dispose](),
	};
}

/**
 * One that is pinned; it is closed with what is answered. Throws a DatapathError where its rows are not what this pathproof reads and
 * writes: another version has made it.
 */
export function openMap(name: MapName): BpfMap & Disposable {
	if (isLoaded() && !isPinned('maps', name)) throw pinnedWithout([name]);
	const fd = getPinned(pinPath('maps', name));
	const map = Object.assign(new BpfMap(name, fd, ...MAPS[name]), { [Symbol.dispose]: () => closeSync(fd) });
	const found = mapSizes(fd);
	if (found.join() === MAPS[name].join()) return map;
	map[Symbol.dispose]();
	const words = ([key, value]: readonly [number, number]) => `keys of ${key} bytes and values of ${value}`;
	throw new DatapathError(`the map ${name} was pinned by another version of pathproof`, {
		log: `${pinPath('maps', name)} has ${words(found)}, and this version ${words(MAPS[name])}`,
		hint: 'with that version: pathproof net rm --all; then add the containers with this one',
	});
}

/** Throws a DatapathError of those that are pinned, as `openMap` does, and where one is missing that this pathproof has. */
export function refuseOtherVersion(): void {
	for (const { maps, programs } of loadedObjects().map((name) => OBJECTS[name])) {
		const missing = [
			...maps.filter((map) => !isPinned('maps', map)),
			...programs.filter((program) => !isPinned('programs', program)),
		];
		if (missing.length) throw pinnedWithout(missing);
		for (const map of maps) openMap(map)[Symbol.dispose]();
	}
}

function pinnedWithout(missing: readonly string[]): DatapathError {
	return new DatapathError(`the datapath was pinned by an earlier pathproof, without ${missing.join(', ')}`, {
		hint: 'pathproof net upgrade',
	});
}

export function withMap<T>(name: MapName, act: (map: BpfMap) => T): T {
	using map = openMap(name);
	return act(map);
}

export function withProgram<T>(name: ProgramName, act: (program: { name: ProgramName; fd: number }) => T): T {
	const fd = getPinned(pinPath('programs', name));
	try {
		return act({ name, fd });
	} finally {
		closeSync(fd);
	}
}

/** Whether the kernel has links of tc programs that the owner of a netns cannot remove: 6.6 (e420bed02507). */
export function hasTcxLinks(): boolean {
	return withProgram('egress_guard', ({ fd }) => hasLinkKind(fd, 'tcx/egress'));
}

export function pinPath(kind: 'programs' | 'maps', name: string): string {
	return join(PIN_ROOT, kind, name);
}

function loadAndPin(name: ObjectName, root: string): void {
	const { programs, maps } = OBJECTS[name];
	using object = BpfObject.open(bpfObjectPath(name));
	shareMaps(
		object,
		(Object.keys(MAPS) as MapName[]).filter((map) => isPinned('maps', map) && object.hasMap(map)),
	);
	object.load();
	for (const program of programs) pin(object.programFd(program), join(root, 'programs', program));
	for (const map of maps) pin(object.map(map, ...MAPS[map]).fd, join(root, 'maps', map));
}

/** The object keeps them open by itself. */
function shareMaps(object: BpfObject, names: readonly MapName[]): void {
	for (const name of names) withMap(name, (map) => object.shareMap(map));
}
