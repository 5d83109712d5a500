/**
 * One end as a process of its own: `node impl/tls/main.ts FILE`. The file is JSON, one of
 *
 *     { "role": "terminate", "listen": "[::]:4433", "certificates": { … }, "allow": ["2001:db8:f::/48"] }
 *     { "role": "forward", "terminator": { "host": "2001:db8:0:1::2", "port": 4433 }, "certificates": { … },
 *       "ways": [{ "protocol": "tcp", "listen": "[::1]:15001" }, { "protocol": "udp", "listen": "[::1]:15001", "to": "[2001:db8:f::1]:53" }] }
 *
 * where a way without `to` goes where its program meant to go, by the kernel's word (`pathproof net tls add`); with the options of TerminatingProxy and ForwardProxy beside them, and `certificates` as CertificateFiles. It prints a line of JSON
 * when it is ready and one for each flow; SIGHUP reads the certificates again, SIGTERM ends it.
 */
import { tellError } from '../command-line.ts';
import { readConfig } from './config.ts';
import { runEnd } from './end.ts';

try {
	await runEnd(readConfig(process.argv[2]));
} catch (error) {
	process.exitCode = tellError(error, false);
}
