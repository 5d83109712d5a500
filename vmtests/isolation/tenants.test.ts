/** Who may talk with whom on one host: containers of one tenant, and of two of which one allows the other. */
import { expect, type LabRequest, type Node, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { arenaRequest, DEVICES } from './arena.ts';

/** A third one, of a tenant that nobody allows, as its operator types it. */
const THIRD = { ipv6: '2001:db8:0:2::12', ipv4: '198.51.100.12' };

async function reaches(from: Node, to: Pick<Node, 'ipv6' | 'ipv4'>, family: 4 | 6): Promise<boolean> {
	const address = family === 6 ? to.ipv6 : to.ipv4;
	return (await from.exec(['ping', `-${family}`, '-c1', '-W2', address], { reject: false })).code === 0;
}

for (const { device, forward, needs } of DEVICES) {
	const tags = [FULL];
	/** ipvlan is private: its slaves hand each other nothing, whosever they are */
	const together = !device.startsWith('ipvlan');
	const ask = (containers: LabRequest['containers']): LabRequest => ({
		...arenaRequest(device, forward, true),
		containers,
	});

	test(`on ${device} two tenants talk where one allows the other, and a third is refused`, { tags }, async ({
		lab,
		requires,
	}) => {
		await requires(...needs);
		const { web, api, host } = await lab(ask({ web: { tenant: 'red', allow: ['blue'] }, api: { tenant: 'blue' } }));
		for (const family of [6, 4] as const) {
			expect.soft(await reaches(web, api, family), `to who is allowed, IPv${family}`).toBe(together);
			expect.soft(await reaches(api, web, family), `from who is allowed, IPv${family}`).toBe(together);
		}
		const add = [
			`net add third --device ${device} --forward ${forward} --tenant green`,
			`--ipv6 ${THIRD.ipv6} --ipv4 ${THIRD.ipv4} --uplink eth0,2001:db8:0:1::2,192.0.2.2`,
		];
		await host.exec(['pathproof', ...add.join(' ').split(' ')], { timeout: 60_000 });
		for (const family of [6, 4] as const) {
			expect.soft(await reaches(web, THIRD, family), `to the third, IPv${family}`).toBe(false);
			const ping = ['ip', 'netns', 'exec', 'third', 'ping', `-${family}`, '-c1', '-W1', web.address(family)];
			expect.soft((await host.exec(ping, { reject: false })).code, `from the third, IPv${family}`).not.toBe(0);
		}
	});

	test(`on ${device} containers of one tenant reach each other`, { tags }, async ({ lab, requires }) => {
		await requires(...needs);
		const { web, api } = await lab(ask({ web: { tenant: 'red' }, api: { tenant: 'red' } }));
		for (const family of [6, 4] as const) expect.soft(await reaches(web, api, family), `IPv${family}`).toBe(together);
	});

	test(`on ${device} tenants that nobody allows each other do not meet by the host either`, { tags }, async ({
		lab,
		requires,
	}) => {
		await requires(...needs);
		const { web, api, host } = await lab(arenaRequest(device, forward, true));
		for (const family of [6, 4] as const) {
			expect.soft(await reaches(web, api, family), `directly, IPv${family}`).toBe(false);
			// the host is who it may talk with, where ipvlan lets it; that it forwards is another matter
			expect.soft(await reaches(web, host, family), `the host itself, IPv${family}`).toBe(together);
			const via = family === 6 ? ['-6', 'route', 'replace', `${api.ipv6}/128`] : ['route', 'replace', `${api.ipv4}/32`];
			await web.tenant(['ip', ...via, 'dev', 'eth0'], { reject: false });
			expect.soft(await reaches(web, api, family), `by a route of its own, IPv${family}`).toBe(false);
		}
	});
}
