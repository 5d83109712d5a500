import { describe, expect, test } from 'pathproof';
import { identity } from '../identity/scene.ts';
import { addWords, request, scene } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { netChangeDocument, netCheckDocument, netLsDocument, netShowDocument } from '../support/schema/net.ts';

const VETH = request('web', { device: 'veth', forward: 'redirect' });

test('adds once, says so, and refuses another of the same name', async ({ lab, requires }) => {
	await requires('veth');
	const { done, pathproof } = await scene(lab);
	expect(await done(addWords(VETH))).toBe('web is there\n');
	expect(await done(addWords(VETH))).toBe('web is there already\n');
	const other = await pathproof(addWords({ ...VETH, ipv4: '198.51.100.99' }));
	expect(other).toMatchObject({ code: 1, stdout: '' });
	expect(other.stderr).toBe(
		'pathproof: there is a container web already, and it is another one\ntry: pathproof net show web; to replace it: pathproof net rm web\n',
	);
});

test('removes what is there, and refuses what is not', { tags: [FULL] }, async ({ lab, requires }) => {
	await requires('veth');
	const { done, pathproof } = await scene(lab);
	expect(await pathproof(['net', 'rm', 'web'])).toMatchObject({
		code: 1,
		stderr: 'pathproof: there is no container web\ntry: pathproof net ls\n',
	});
	await done(addWords(VETH));
	await done(addWords(request('api', VETH)));
	expect(await pathproof(['net', 'rm', 'web', 'nobody'])).toMatchObject({ code: 1 });
	expect(await done(['net', 'ls'])).toMatch(/^web /m);
	expect(await done(['net', 'rm', '--all'])).toBe('api, web are gone\n');
	expect(await done(['net', 'ls'])).toBe('there is no container\n');
	expect(await done(['net', 'rm', '--all'])).toBe('there is no container\n');
});

test('says first what it would do, changes nothing, and then does exactly that', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const { done, state } = await scene(lab);
	const steps = async (words: string[]) => JSON.parse(await done([...words, '--json'])) as { steps: string[] };
	const before = await state.hostState();
	const dry = await steps([...addWords(VETH), '--dry-run']);
	expect(await state.differences(before)).toEqual({});
	expect(dry).toMatchObject({ schema: 1, dryRun: true, changed: false });
	const real = await steps(addWords(VETH));
	expect(real).toMatchObject({ schema: 1, dryRun: false, changed: true });
	expect(real.steps).toEqual(dry.steps);
	expect(real.steps).toContain('ip netns add web');

	const there = await state.hostState();
	const dryRemoval = await steps(['net', 'rm', 'web', '--dry-run']);
	expect(await state.differences(there)).toEqual({});
	expect((await steps(['net', 'rm', 'web'])).steps).toEqual(dryRemoval.steps);
	expect(await state.differences(before)).toEqual({});
});

describe('refuses, as a wrong call', () => {
	const calls: [what: string, words: string[], said: string][] = [
		['a name of 16 characters', ['sixteen-letters-'], '"sixteen-letters-" cannot be the name of a container'],
		['a device that is none', ['web', '--device', 'bridge'], '"bridge" is no device'],
		['a way that a device lacks', ['web', '--device', 'ipvlan'], 'ipvlan-l2 has no forward redirect'],
		['an address that is none', ['web', '--ipv6', '2001:db8::g'], '2001:db8::g is no IPv6 address'],
		['a next hop that is none', ['web', '--uplink', 'eth0,gateway'], 'gateway is no address of a next hop'],
		['a container without an uplink', ['web', '--ipv6', '2001:db8::1'], 'web has no uplink'],
	];

	test('with one clear error and status 2', { tags: [FULL] }, async ({ lab }) => {
		const { pathproof } = await scene(lab);
		for (const [what, words, said] of calls) {
			const missing = words.includes('--device') ? [] : ['--device', 'veth'];
			const { code, stdout, stderr } = await pathproof(['net', 'add', ...words, ...missing, '--forward', 'redirect']);
			expect({ what, code, stdout, first: stderr.split('\n')[0] }).toEqual({
				what,
				code: 2,
				stdout: '',
				first: `pathproof: ${said}`,
			});
			expect(stderr).toMatch(/^try: /m);
		}
		const json = await pathproof([
			'net',
			'add',
			'sixteen-letters-',
			'--device',
			'veth',
			'--forward',
			'stack',
			'--json',
		]);
		expect(json).toMatchObject({ code: 2, stderr: '' });
		expect(JSON.parse(json.stdout)).toMatchObject({ schema: 1, error: { stage: 'usage' } });
	});
});

test('refuses an uplink, a netns and a name that are not there or taken, and changes nothing', async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const { pathproof, state, vm } = await scene(lab);
	await vm.exec(['ip', 'netns', 'add', 'taken']);
	const before = await state.hostState();
	const refused: [object, string][] = [
		[{ uplinks: [{ device: 'eth7' }] }, 'there is no device eth7'],
		[{ name: 'taken' }, 'there is a netns taken already'],
		[{ name: 'eth0' }, 'there is a device eth0 already'],
	];
	for (const [other, said] of refused) {
		const { code, stderr } = await pathproof(addWords({ ...VETH, ...other }));
		expect({ code, first: stderr.split('\n')[0] }).toEqual({ code: 1, first: `pathproof: ${said}` });
	}
	const gone = await pathproof([...addWords(VETH), '--netns', 'nowhere']);
	expect(gone.stderr).toMatch(/^pathproof: there is no netns nowhere\ntry: ip netns add nowhere/);
	expect(await state.differences(before)).toEqual({});
});

test('shows a container: what was asked, what there is, and what was dropped', async ({ lab, requires }) => {
	await requires('veth');
	const { done, vm } = await scene(lab);
	await done(addWords(VETH));
	await vm.exec(['ip', 'addr', 'add', '2001:db8:bad::1/128', 'dev', 'eth0', 'nodad'], { netns: 'web' });
	await vm.exec(['ping', '-c2', '-W1', '-I', '2001:db8:bad::1', '2001:db8:0:1::2'], { netns: 'web', reject: false });
	const shown = await done(['net', 'show', 'web']);
	expect(shown).toMatch(/^web {2}veth redirect, tenant web$/m);
	expect(shown).toMatch(/inside +eth0, MTU 1500, .*2001:db8:0:2::10\/128/);
	expect(shown).toMatch(/programs +egress_neigh on web \((tcx, link \d+|clsact), program \d+\)/);
	expect(shown).toMatch(/ 2 SPOOFED_SOURCE$/m);
});

test('prints documents that are as their schemas say', async ({ lab, requires }) => {
	await requires('veth');
	const { done } = await scene(lab);
	const document = async (words: string[]) => JSON.parse(await done([...words, '--json']));
	netChangeDocument.parse(await document(addWords(VETH)));
	const { state, spec } = netShowDocument.parse(await document(['net', 'show', 'web']));
	expect(netLsDocument.parse(await document(['net', 'ls'])).containers).toEqual([{ ...spec, state }]);
	expect(spec).toEqual({ ...VETH, tenant: 'web', allow: [], guard: true, netns: null });
	expect(netCheckDocument.parse(await document(['net', 'check']))).toEqual({ schema: 1, ok: true, findings: [] });
	netChangeDocument.parse(await document(['net', 'upgrade']));
	netChangeDocument.parse(await document(['net', 'rm', '--all']));
	netChangeDocument.parse(await document(['net', 'gc']));
});

test('prints documents of an identity container that are as their schemas say', async ({ lab, requires }) => {
	await requires('modules');
	const { done } = await scene(lab);
	const document = async (words: string[]) => JSON.parse(await done([...words, '--json']));
	const service = { address: '2001:db8:0:2::99', port: 80, protocol: 'tcp', to: 8080, sticky: true } as const;
	const web = identity('web', { ports: [{ first: 80, last: 89 }], serves: [service], drained: true, countUdp: true });
	netChangeDocument.parse(await document(addWords(web)));
	const { state, spec, identity: asked, attachments } = netShowDocument.parse(await document(['net', 'show', 'web']));
	expect(netLsDocument.parse(await document(['net', 'ls'])).containers).toEqual([{ ...spec, state }]);
	expect(spec).toMatchObject({ ...web, tenant: 'web', allow: [], netns: null });
	expect(asked).toMatchObject({ cgroup: '/sys/fs/cgroup/pathproof/web', counts: { SOCKETS: 0 } });
	expect(attachments).toContainEqual(expect.objectContaining({ program: 'udp_sent', kind: 'cgroup', device: null }));
});
