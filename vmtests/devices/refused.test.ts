/** What a kernel cannot do is refused when it is asked for, by name, and not found out by packets that go missing. */
import { expect, test } from 'pathproof';
import { addWords, request, type Scene, scene } from '../state/scene.ts';
import { turn } from '../support/turns.ts';

/** Nothing is left of what was refused. */
async function refuses({ vm, pathproof }: Scene, words: readonly string[], said: RegExp): Promise<void> {
	const { code, stderr } = await pathproof(words);
	expect(stderr).toMatch(said);
	expect(code).toBe(1);
	expect((await vm.exec(['ip', 'link', 'show', 'web'], { reject: false })).code).toBe(1);
}

test(
	'redirect-egress is refused where the kernel knows no BPF_F_EGRESS, and made where it does',
	turn(1),
	async ({ lab, requires }) => {
		await requires('veth');
		const here = await scene(lab);
		const words = addWords(request('web', { device: 'veth', forward: 'redirect-egress' }));
		if (here.has('redirect-peer-egress')) await here.done(words);
		else await refuses(here, words, /this kernel lacks redirect-peer-egress[\s\S]*--forward redirect/);
	},
);

test(
	'an ipvlan container that cannot be guarded is refused, and made when asked without',
	turn(0),
	async ({ lab, requires }) => {
		await requires('ipvlan');
		const here = await scene(lab);
		const words = addWords(request('web', { device: 'ipvlan-l3', forward: 'native' }));
		if (here.has('tcx')) return void (await here.done(words));
		await refuses(here, words, /an ipvlan container cannot be guarded on this kernel, which has no TCX links/);
		await here.done([...words, '--no-guard']);
	},
);
