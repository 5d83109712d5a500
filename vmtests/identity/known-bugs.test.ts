/** What kernels are known to do wrong with sockets: by kernels/bugs.ts, which each running kernel bears out or gives the lie to. */
import { expect, test } from 'pathproof';
import { bugClaim } from '../../kernels/bugs.ts';
import { turn } from '../support/turns.ts';

/** After each of fourteen binds to an address of its own, one to the wildcard, all to one port: what comes of those. */
const BIND = `
const { createSocket } = require('node:dgram');
const bind = (address) =>
	new Promise((resolve) => {
		const one = createSocket('udp4');
		one.once('error', ({ code }) => resolve({ one, outcome: code }));
		one.bind({ port: 8888, address, exclusive: true }, () => resolve({ one, outcome: 'bound' }));
	});
(async () => {
	const outcomes = [];
	for (let n = 1; n <= 14; n++) {
		await bind('127.0.0.' + n);
		const { one, outcome } = await bind('0.0.0.0');
		if (outcome === 'bound') one.close();
		outcomes.push(outcome);
	}
	console.log(JSON.stringify(outcomes));
	process.exit();
})();`;

test(
	'UDP to a wildcard is refused beside sockets at addresses of its port, however many: but by the kernels that forget them',
	turn(0),
	async ({ vm, kernel }) => {
		const { broken, because } = bugClaim(kernel, 'udp-wildcard-bind');
		const { stdout } = await vm.exec(['/pathproof/bin/node', '-e', BIND]);
		expect(JSON.parse(stdout), because).toEqual([
			...Array(10).fill('EADDRINUSE'),
			...Array(4).fill(broken ? 'bound' : 'EADDRINUSE'),
		]);
	},
);

/** Of a socket that was closed with more to send than its other end takes: its state, and the one that it has once it was destroyed. */
const ORPHAN = `
import socket, subprocess
listener = socket.create_server(('::1', 7777), family=socket.AF_INET6)
client = socket.create_connection(('::1', 7777))
accepted = listener.accept()[0]
client.setblocking(False)
try:
    while True: client.send(bytes(20000))
except BlockingIOError: pass
client.close()
def states():
    said = subprocess.run(['ss', '-Htan', 'dport', '7777'], check=True, capture_output=True, text=True).stdout
    return ','.join(line.split()[0] for line in said.splitlines())
before = states()
subprocess.run(['ss', '-K', '-Htan', 'dport', '7777'], check=True, capture_output=True)
print(before, states() or 'gone')`;

test(
	'a TCP socket that nobody has open any more is gone once it is destroyed: but on the kernels that keep it for ever',
	turn(0),
	async ({ vm, kernel }) => {
		const { broken, because } = bugClaim(kernel, 'orphan-abort');
		const { stdout } = await vm.exec(['python3', '-c', ORPHAN]);
		expect(stdout, because).toBe(`FIN-WAIT-1 ${broken ? 'FIN-WAIT-1' : 'gone'}\n`);
	},
);
