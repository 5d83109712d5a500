/** Through the host's IP stack: what everybody has, and what the other ways are measured against. */
import { writeFileSync } from 'node:fs';

/** The one mode that touches a sysctl of the host. Forwarding turns router advertisements off on the uplink. */
const FORWARDING = ['net/ipv6/conf/all/forwarding', 'net/ipv4/ip_forward'] as const;

export function enableForwarding(): void {
	for (const name of FORWARDING) writeFileSync(`/proc/sys/${name}`, '1');
}

/** bpf_fib_lookup answers only for a device that forwards. What the program then passes to the stack is for the host itself. */
export function enableDeviceForwarding(device: string): void {
	for (const family of ['ipv6', 'ipv4']) writeFileSync(`/proc/sys/net/${family}/conf/${device}/forwarding`, '1');
}
