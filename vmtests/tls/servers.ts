/** What the programs of this chapter talk to at the peer, none of it written here. */
import { NONCE } from './nonce.ts';

export interface Server {
	argv: string[];
	/** where it does once it is ready, in the words of `ss` */
	listens: string;
}

/** Lines that differ, so that nothing can come twice or in another order. */
export const BIG = Array.from({ length: 100_000 }, (_, line) => `${NONCE} ${line}\n`).join('');
/** How many names a resolver is asked for, each once. */
export const NAMES = 500;
export const TEN = Array.from({ length: 10 }, (_, index) => index + 1);

export const DNSMASQ = [
	...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--pid-file', '--user=root'],
	...['--no-resolv', '--no-hosts'],
];

/** Of the `n`-th address of each family, which it answers every question with. */
function nameServer(n: number): Server {
	const [six, four] = [`2001:db8:f::${n.toString(16)}`, `203.0.113.${n}`];
	const listen = [`--listen-address=${six}`, `--listen-address=${four}`, '--bind-interfaces'];
	const tell = [`--address=/example/${six}`, `--address=/example/${four}`];
	return { argv: [...DNSMASQ, ...listen, ...tell], listens: `-lu 'src [${six}]:53'` };
}

/** At one address: to a first datagram it answers from a socket that is connected, and so from wherever that is bound. */
function iperf3(address: string, listens: string): Server {
	return { argv: ['iperf3', '--server', '--forceflush', '--bind', address], listens: `-lt 'src ${listens}:5201'` };
}

export const SERVERS: Server[] = [
	{ argv: ['nginx', '-c', '/run/nginx.conf'], listens: "-lt 'sport = :80'" },
	...TEN.map(nameServer),
	iperf3('2001:db8:f::3', '[2001:db8:f::3]'),
	iperf3('203.0.113.3', '203.0.113.3'),
	{
		argv: ['dropbear', '-F', '-E', '-s', '-r', '/run/host-key', '-D', '/etc/authorized', '-p', '22'],
		listens: "-lt 'sport = :22'",
	},
	{
		argv: ['sh', '-c', 'cd /run && exec openssl s_server -WWW -accept 4443 -cert inner.pem -key inner-key.pem'],
		listens: "-lt 'sport = :4443'",
	},
	{
		argv: ['redis-server', '--port', '6379', '--save', '', '--protected-mode', 'no'],
		listens: "-lt 'sport = :6379'",
	},
];

/** Files that they need, and a command that makes the others. */
export const FILES: Record<string, string> = {
	'/run/big': BIG,
	'/run/nonce': `${NONCE}\n`,
	'/run/names': Array.from({ length: NAMES }, (_, name) => `${NONCE}.${name}.example A\n`).join(''),
	'/run/nginx.conf': `
daemon off;
user root;
worker_processes 1;
error_log stderr;
pid /run/nginx.pid;
events {}
http {
	log_format seen '$remote_addr $server_addr $request $status';
	access_log off;
	client_max_body_size 0;
	client_body_temp_path /run/body;
	root /run/www;
	server {
		listen 80;
		listen [::]:80;
		http2 on;
		location / { dav_methods PUT; }
		location = /aborted { dav_methods PUT; access_log /run/aborted.log seen; }
		location = /seen { return 200 "${NONCE} $remote_addr $server_addr $server_protocol\\n"; }
	}
}
`,
};
export const MAKE = `
	mkdir /run/www && ln /run/big /run/www/big
	ssh-keygen -q -t ed25519 -N '' -f /run/id
	mkdir -m 700 /etc/authorized && cp /run/id.pub /etc/authorized/authorized_keys
	dropbearkey -t ed25519 -f /run/host-key
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=inner \\
		-addext subjectAltName=DNS:inner.example -keyout /run/inner-key.pem -out /run/inner.pem`;
