/** A netns that a container's owner makes within: what comes from there is forwarded by the container, and has no socket. */
import type { Node } from 'pathproof';

const MAC = '02:00:00:00:00:01';

/** Runs a command there, with this IPv6 address and its routes by the container. Answers how it ended. */
export function inNested(web: Node, ipv6: string, command: string): ReturnType<Node['tenant']> {
	const inside = [
		'ip link set eth0 up',
		`ip addr add ${ipv6}/128 dev eth0 nodad`,
		`ip neigh add fe80::1 lladdr ${MAC} dev eth0`,
		'ip route add default via fe80::1 dev eth0',
		command,
	];
	const script = [
		'sysctl -qw net.ipv6.conf.all.forwarding=1',
		'unshare -n sleep 60 & pid=$!',
		'until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done',
		`ip link add in address ${MAC} type veth peer name eth0 netns $pid && ip link set in up`,
		`nsenter -t $pid -n sh -c '${inside.join(' && ')}'; code=$?`,
		'kill $pid; ip link del in; exit $code',
	];
	return web.tenant(['sh', '-c', script.join('\n')], { reject: false });
}
