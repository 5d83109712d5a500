/** What the maps of the datapath hold: what ought to be the same again once a container has gone, or its connections have ended. */
import { buildProgram, expect } from 'pathproof';
import type { IdentityScene } from './scene.ts';

const MAPS = '/sys/fs/bpf/pathproof/maps';
const OBJECT = '/run/count-sockets.o';
/** Of the sockets that there are; no key of theirs can be asked for from here, and an iterator sees them. */
const OF_SOCKETS = ['sockets', 'answers'];
const ITERATORS = '/sys/fs/bpf/count';

/** The rows of each map, by its name. */
export type Rows = Record<string, number>;

/** Answers the function that counts them. */
export async function rowCounter({ vm }: IdentityScene): Promise<() => Promise<Rows>> {
	await vm.writeFile(OBJECT, await buildProgram('fixtures/identity/count-sockets.bpf.c'));
	for (const map of OF_SOCKETS)
		await vm.exec(['bpftool', 'iter', 'pin', OBJECT, `${ITERATORS}-${map}`, 'map', 'pinned', `${MAPS}/${map}`]);
	// Each row once as bytes; where the map has a type, again as what they mean. After the last of cgroup storage a kernel such as 6.18.15
	// answers one more key, which none has: its value is {"error": …}.
	const script = `
		for map in $(ls ${MAPS}); do
			if [ -e ${ITERATORS}-$map ]; then rows=$(wc -l <${ITERATORS}-$map)
			else rows=$(bpftool -j map dump pinned ${MAPS}/$map | grep -o '"key":\\["0x[^]]*],"values*":\\[' | wc -l); fi
			echo $map $rows
		done`;
	return async () => {
		const { stdout } = await vm.exec(['sh', '-ec', script], { timeout: 120_000 });
		const rows = Object.fromEntries(
			stdout
				.trim()
				.split('\n')
				.map((line) => line.split(' '))
				.map(([map, count]) => [map, Number(count)]),
		);
		expect(Object.keys(rows)).toEqual(expect.arrayContaining(['services', 'identities', ...OF_SOCKETS]));
		return rows;
	};
}
