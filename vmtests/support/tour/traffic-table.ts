/** What ping, curl and iperf3 said, as a table. */
import Table from 'cli-table3';
import type { Accel } from '../../../kernels/vm.ts';
import type { Device, Forward } from '../types.ts';
import { type Line, span } from './line.ts';
import type { Traffic } from './traffic.ts';

export interface Driven {
	device: Device;
	forward: Forward;
	traffic: Traffic;
}

export function showTraffic(driven: readonly Driven[], accel: Accel): Line[] {
	const table = new Table({ head: ['', 'ping', 'curl', 'iperf3'], style: { head: [], border: [] } });
	for (const { device, forward, traffic } of driven) {
		const { ping, curl, iperf3 } = traffic;
		const rate = Math.round((iperf3.bytes * 8) / iperf3.seconds / 1e6);
		table.push([
			`${device} ${forward}`,
			`${ping.received}/${ping.sent} in ${ping.averageMs.toFixed(1)} ms`,
			`${curl.status} in ${curl.ms.toFixed(0)} ms`,
			`${(iperf3.bytes / 1e6).toFixed(1)} MB at ${rate} Mbit/s, ${iperf3.retransmits} retransmitted`,
		]);
	}
	const lines = table.toString().split('\n');
	return [[], ...lines.map((line) => [span(line)]), [span(CAVEATS[accel], 'detail')]];
}

const CAVEATS: Record<Accel, string> = {
	tcg: 'The CPU is emulated (TCG): these times and rates say nothing about hardware. The hops do not depend on it.',
	kvm: 'Times and rates are those of a VM on this machine. The hops do not depend on it.',
};
