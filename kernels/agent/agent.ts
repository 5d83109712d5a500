/**
 * The program in the guest: answers the host's calls over the port. Started by the guest's init as
 * `node /pathproof/kernels/agent/boot.mjs [TTY]`, and the guest ends when it does.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { release, uptime } from 'node:os';
import { dirname } from 'node:path';
import { createPeer } from '../channel.ts';
import { dmesg } from './dmesg.ts';
import { setRealtime, warmLibbpf } from './native.ts';
import { call, install } from './payload.ts';
import { openPort } from './port.ts';
import { input, kill, run, spawn } from './processes.ts';
import type { AgentFunctions, Hello, HostFunctions } from './protocol.ts';

const port = await openPort(process.argv[2]);
const libbpfError = warmLibbpf();
dmesg();

const functions: AgentFunctions = {
	ping: () => hello,
	run,
	spawn: (argv, options = {}) => spawn(argv, options, host.remote),
	input,
	kill,
	readFile: (path) => readFile(path),
	async writeFile(path, data, mode) {
		await mkdir(dirname(path), { recursive: true });
		await writeFile(path, data);
		if (mode !== undefined) await chmod(path, mode);
	},
	setClock: (unixNanoseconds) => setRealtime(BigInt(unixNanoseconds)),
	install,
	call,
	dmesg,
};

const host = createPeer<HostFunctions, AgentFunctions>(functions, port.send, broken);
const hello: Hello = { release: release(), bootMs: Math.round(uptime() * 1000), libbpfError };
const listening = port.listen(host.receive, host.reset);
await host.remote.ready.asEvent(hello);
await listening;

/** Bytes that are no message: what was meant is lost, and with it the guest. */
function broken(error: Error): void {
	throw error;
}
