/** `pathproof tour`: what `npm start` runs. */
import type { Command } from 'commander';

export function register(program: Command): void {
	program
		.command('tour')
		.description(
			'Boot a kernel; build a host, a peer and a container on veth and on netkit; send real traffic; show for one packet each way the hops it took when redirected, beside the same under plain IP forwarding.',
		)
		.option('--kernel <kernel>', 'one kernel: 6.12, 6.12.95, a build tree; the newest default without')
		.option('--json', 'print one JSON document: fixtures/schemas/tour.json')
		.action(async (options: { kernel?: string; json?: boolean }) => {
			// Not imported above: --help needs none of it.
			const { tour } = await import('./tour.ts');
			await tour(options);
		});
}
