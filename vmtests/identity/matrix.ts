/**
 * Programs that nobody here wrote, by protocol, and by what they are: each call that they make of those that have a hook, with the
 * addresses that they name in it or are shown, for either family. Where there is no such call, why.
 */
import { CALLS, type Call } from '../support/strace.ts';

export type Family = 4 | 6;
/**
 * Words for addresses: `own`, the container's of the row's family; `peer`, the same; `any`, a wildcard; `loopback`; before it `mapped` of
 * an IPv4 one in an IPv6 socket. Where a program makes the call for several, all of them.
 */
export type Seen = string[];

interface Never {
	never: string;
}

export interface Row {
	program: string;
	/** which of its ways */
	way: string;
	protocol: 'tcp' | 'udp';
	/** what the container runs */
	argv: (at: Place) => string[];
	/** of a server: the port that it opens, by another protocol where it says so, and what the peer then runs */
	serves?: { port: number; listens?: 'tcp'; asked: (at: Place) => string[] };
	/** of those that PEERS names */
	peer?: PeerName;
	calls: Record<Call, Seen | Never>;
	/** the program's own word for what it saw, in the output of whoever is the client; nothing where it says none */
	says?: string;
}

/** Addresses of a family, and as a URL or a socket address has them. */
export interface Place {
	family: Family;
	own: string;
	peer: string;
	any: string;
	inUrl: (address: string) => string;
}

/** What of the peer's the clients ask. */
export const PEERS = {
	http: { argv: ['busybox', 'httpd', '-f', '-p', '80', '-h', '/etc'], listens: "-lt 'sport = :80'" },
	iperf3: { argv: ['iperf3', '--server', '--forceflush'], listens: "-lt 'sport = :5201'" },
	irtt: { argv: ['irtt', 'server'], listens: "-lu 'sport = :2112'" },
} as const;
export type PeerName = keyof typeof PEERS | 'echo';

const never = (reason: string): Never => ({ never: reason });
const NOT_ASKED = never('the program does not ask for it');
const ON_A_STREAM = never('what is sent on a connection names nobody');
const CONNECTED = never('it is connected: what it sends names nobody');
const NOBODY_WAITED_FOR = never('a client waits for nobody');
const NO_CONNECTIONS = never('UDP has no connections to accept');
const NOT_BEGUN = never('a server begins no connection');
const SENT_FROM_WHERE_IT_IS_BOUND = never('it leaves the source to where it is bound');

const CLIENT = { bind: NOT_ASKED, connect: ['peer'], getsockname: NOT_ASKED, getpeername: NOT_ASKED };
const TCP = { sendto: ON_A_STREAM, sendmsg: ON_A_STREAM, recvmsg: ON_A_STREAM };
const TCP_CLIENT = { ...CLIENT, ...TCP, accept: NOBODY_WAITED_FOR };
const UDP_CLIENT = { ...CLIENT, sendto: CONNECTED, sendmsg: CONNECTED, accept: NO_CONNECTIONS, recvmsg: NOT_ASKED };
const TCP_SERVER = {
	...TCP,
	bind: ['any'],
	accept: ['peer'],
	connect: NOT_BEGUN,
	getsockname: NOT_ASKED,
	getpeername: NOT_ASKED,
};
const UDP_SERVER = {
	bind: ['any'],
	connect: NOT_BEGUN,
	sendto: NOT_ASKED,
	sendmsg: SENT_FROM_WHERE_IT_IS_BOUND,
	accept: NO_CONNECTIONS,
	getsockname: NOT_ASKED,
	getpeername: NOT_ASKED,
	recvmsg: ['peer'],
};

const curl = (url: string, written: string, ...more: string[]) => [
	...['curl', '-sS', '--max-time', '20', '-o', '/dev/null', '-w', written, ...more, url],
];
/** A datagram, and what comes back: ncat goes as its input ends, which is when it has printed something. */
const ask = (family: Family, to: string, port: number) => [
	'sh',
	'-c',
	`echo -n >/run/said; { echo x; for i in $(seq 200); do [ -s /run/said ] && exit; sleep 0.1; done; } |
	timeout 30 ncat -${family} -u ${to} ${port} >/run/said; cat /run/said`,
];
/** At an address: Go makes of the wildcard of either family a socket for both. */
const mmproxy = ({ inUrl, own, peer, family }: Place) => [
	...['go-mmproxy', '-l', `${inUrl(own)}:8443`, `-${family}`, `${inUrl(peer)}:80`],
];
const NGINX = ['nginx', '-c', '/run/nginx.conf'];
const MPROCS = '/run/mprocs';

export const MATRIX: Row[] = [
	{
		program: 'curl',
		way: 'a client',
		protocol: 'tcp',
		peer: 'http',
		argv: ({ inUrl, peer }) => curl(`http://${inUrl(peer)}/hostname`, '%{local_ip} %{remote_ip} %{http_code}'),
		calls: { ...TCP_CLIENT, getsockname: ['own'] },
		says: 'own peer 200',
	},
	{
		program: 'dig',
		way: 'a client',
		protocol: 'udp',
		peer: 'echo',
		argv: ({ peer }) => ['dig', `@${peer}`, '+tries=1', '+time=1', 'example'],
		calls: { ...UDP_CLIENT, bind: ['any'], recvmsg: ['peer'] },
	},
	{
		program: 'dig',
		way: 'a client, +tcp',
		protocol: 'tcp',
		peer: 'echo',
		argv: ({ peer }) => ['dig', `@${peer}`, '+tcp', '+tries=1', '+time=1', 'example'],
		calls: { ...TCP_CLIENT, bind: ['any'], getsockname: ['any'], getpeername: ['peer'] },
	},
	{
		program: 'iperf3',
		way: 'a client',
		protocol: 'tcp',
		peer: 'iperf3',
		argv: ({ peer }) => ['iperf3', '-c', peer, '-n', '16K'],
		calls: { ...TCP_CLIENT, getsockname: ['own'], getpeername: ['peer'] },
	},
	{
		program: 'iperf3',
		way: 'a client, --udp',
		protocol: 'udp',
		peer: 'iperf3',
		argv: ({ peer }) => ['iperf3', '--udp', '-c', peer, '-n', '16K'],
		calls: { ...UDP_CLIENT, getsockname: ['own'], getpeername: ['peer'] },
	},
	{
		program: 'iperf3',
		way: 'a server',
		protocol: 'tcp',
		argv: ({ any }) => ['iperf3', '--server', '--bind', any, '--port', '5301'],
		serves: { port: 5301, asked: ({ own }) => ['iperf3', '-c', own, '--port', '5301', '-n', '16K'] },
		calls: { ...TCP_SERVER, getsockname: ['own'], getpeername: ['peer'] },
	},
	{
		program: 'iperf3',
		way: 'a server, --udp',
		protocol: 'udp',
		argv: ({ any }) => ['iperf3', '--server', '--bind', any, '--port', '5301'],
		// its UDP socket is made once a client has asked for it by TCP
		serves: {
			port: 5301,
			listens: 'tcp',
			asked: ({ own }) => ['iperf3', '--udp', '-c', own, '--port', '5301', '-n', '16K'],
		},
		calls: {
			...UDP_SERVER,
			sendmsg: CONNECTED,
			// to the first who sends
			connect: ['peer'],
			getsockname: ['own'],
			getpeername: ['peer'],
		},
	},
	{
		program: 'ncat',
		way: 'a client',
		protocol: 'tcp',
		peer: 'echo',
		argv: ({ family, peer }) => ['ncat', `-${family}`, '--recv-only', peer, '7'],
		calls: TCP_CLIENT,
		says: 'own peer',
	},
	{
		program: 'ncat',
		way: 'a client, --udp',
		protocol: 'udp',
		peer: 'echo',
		argv: ({ family, peer }) => ask(family, peer, 7),
		calls: { ...UDP_CLIENT, recvmsg: ['peer'] },
		says: 'own',
	},
	{
		program: 'ncat',
		way: 'a server',
		protocol: 'tcp',
		argv: ({ family }) => ['ncat', `-${family}`, '-lk', '99', '-c', 'echo $NCAT_REMOTE_ADDR $NCAT_LOCAL_ADDR'],
		serves: { port: 99, asked: ({ family, own }) => ['ncat', `-${family}`, '--recv-only', own, '99'] },
		calls: { ...TCP_SERVER, getsockname: ['own'], getpeername: ['peer'] },
		says: 'peer own',
	},
	{
		program: 'ncat',
		way: 'a server, --udp',
		protocol: 'udp',
		argv: ({ family }) => ['ncat', `-${family}`, '-u', '-l', '99', '-c', 'echo $NCAT_REMOTE_ADDR $NCAT_LOCAL_ADDR'],
		serves: { port: 99, asked: ({ family, own }) => ask(family, own, 99) },
		calls: {
			...UDP_SERVER,
			sendmsg: CONNECTED,
			connect: ['peer'],
			getsockname: ['own'],
			getpeername: ['peer'],
		},
		says: 'peer own',
	},
	{
		program: 'busybox',
		way: 'httpd',
		protocol: 'tcp',
		argv: ({ inUrl, any }) => ['busybox', 'httpd', '-f', '-p', `${inUrl(any)}:80`, '-h', '/etc'],
		serves: { port: 80, asked: ({ inUrl, own }) => curl(`http://${inUrl(own)}/hostname`, '%{http_code}') },
		calls: TCP_SERVER,
		says: '200',
	},
	{
		program: 'busybox',
		way: 'wget',
		protocol: 'tcp',
		peer: 'http',
		argv: ({ inUrl, peer }) => ['busybox', 'wget', '-q', '-O', '/dev/null', `http://${inUrl(peer)}/hostname`],
		calls: TCP_CLIENT,
	},
	{
		program: 'busybox',
		way: 'nslookup',
		protocol: 'udp',
		peer: 'echo',
		argv: ({ peer }) => ['timeout', '2', 'busybox', 'nslookup', 'example', peer],
		calls: { ...UDP_CLIENT, bind: ['any'] },
	},
	{
		program: 'python3',
		way: '-m http.server',
		protocol: 'tcp',
		argv: ({ any }) => ['python3', '-m', 'http.server', '--bind', any, '--directory', '/etc', '80'],
		serves: { port: 80, asked: ({ inUrl, own }) => curl(`http://${inUrl(own)}/hostname`, '%{http_code}') },
		calls: { ...TCP_SERVER, getsockname: ['any', 'own'] },
		says: '200',
	},
	{
		program: 'nginx',
		way: 'a server',
		protocol: 'tcp',
		argv: () => NGINX,
		serves: { port: 80, asked: ({ inUrl, own }) => ['curl', '-sS', `http://${inUrl(own)}/`] },
		calls: { ...TCP_SERVER, getsockname: ['own'] },
		says: 'peer own',
	},
	{
		program: 'nginx',
		way: 'a proxy',
		protocol: 'tcp',
		peer: 'http',
		argv: () => NGINX,
		serves: { port: 80, asked: ({ inUrl, own }) => curl(`http://${inUrl(own)}/hostname`, '%{http_code}') },
		calls: { ...TCP_SERVER, connect: ['peer'] },
		says: '200',
	},
	{
		program: 'nginx',
		way: 'a server of datagrams',
		protocol: 'udp',
		argv: () => NGINX,
		serves: { port: 53, asked: ({ family, own }) => ask(family, own, 53) },
		calls: { ...UDP_SERVER, sendmsg: ['peer +pktinfo'] },
		says: 'peer own',
	},
	{
		program: 'nginx',
		way: 'a proxy of datagrams',
		protocol: 'udp',
		peer: 'echo',
		argv: () => NGINX,
		serves: { port: 54, asked: ({ family, own }) => ask(family, own, 54) },
		calls: { ...UDP_SERVER, connect: ['peer'], sendmsg: ['peer +pktinfo'] },
		// the peer's word, of whom it answered
		says: 'own',
	},
	{
		program: 'irtt (Go)',
		way: 'a client',
		protocol: 'udp',
		peer: 'irtt',
		argv: ({ inUrl, peer }) => [
			'irtt',
			'client',
			'-i',
			'50ms',
			'-d',
			'100ms',
			'--wait=1s',
			'-Q',
			`${inUrl(peer)}:2112`,
		],
		calls: { ...UDP_CLIENT, bind: ['any'], getsockname: ['own'], getpeername: ['peer'] },
	},
	{
		program: 'irtt (Go)',
		way: 'a server, --set-src-ip',
		protocol: 'udp',
		argv: ({ inUrl, any }) => ['irtt', 'server', '--set-src-ip', '-b', `${inUrl(any)}:2112`],
		serves: {
			port: 2112,
			asked: ({ inUrl, own }) => [
				...['irtt', 'client', '-i', '50ms', '-d', '100ms', '--wait=1s', '-Q', `${inUrl(own)}:2112`],
			],
		},
		calls: { ...UDP_SERVER, sendmsg: ['peer +pktinfo'], getsockname: ['any'] },
	},
	{
		program: 'go-mmproxy (Go)',
		way: "a proxy that binds to the container's address, IP_TRANSPARENT",
		protocol: 'tcp',
		peer: 'http',
		argv: mmproxy,
		serves: {
			port: 8443,
			asked: ({ inUrl, own }) => curl(`http://${inUrl(own)}:8443/hostname`, '%{http_code}', '--haproxy-clientip', own),
		},
		calls: {
			...TCP_SERVER,
			bind: ['own'],
			connect: ['peer'],
			getsockname: ['own'],
			getpeername: ['peer'],
		},
		says: '200',
	},
	{
		program: 'go-mmproxy (Go)',
		way: "a proxy that binds to its client's address, IP_TRANSPARENT",
		protocol: 'tcp',
		peer: 'http',
		argv: mmproxy,
		serves: {
			port: 8443,
			asked: ({ inUrl, own }) => curl(`http://${inUrl(own)}:8443/hostname`, '%{http_code}', '--haproxy-protocol'),
		},
		calls: {
			...TCP_SERVER,
			bind: ['own', 'peer EPERM'],
			connect: never('it may not bind to an address that is not its own'),
			getsockname: ['own'],
		},
		says: '000',
	},
	{
		program: 'mprocs (static, musl)',
		way: 'a client',
		protocol: 'tcp',
		peer: 'echo',
		argv: ({ inUrl, peer }) => [MPROCS, '--server', `${inUrl(peer)}:7`, '--ctl', '{c: next-proc}'],
		calls: TCP_CLIENT,
	},
	{
		program: 'mprocs (static, musl)',
		way: 'a client that looks a name up',
		protocol: 'udp',
		peer: 'echo',
		argv: () => [MPROCS, '--server', 'example:7', '--ctl', '{c: next-proc}'],
		calls: {
			...UDP_CLIENT,
			bind: ['any'],
			connect: never('it hears all of its name servers by one socket'),
			sendto: ['peer'],
			sendmsg: SENT_FROM_WHERE_IT_IS_BOUND,
			recvmsg: ['peer'],
		},
	},
	{
		program: 'mprocs (static, musl)',
		way: 'a server',
		protocol: 'tcp',
		argv: ({ inUrl, any }) => [
			...['script', '-qfc', `${MPROCS} --server '${inUrl(any)}:4050' 'sleep 1000'`, '/dev/null'],
		],
		serves: {
			port: 4050,
			asked: ({ inUrl, own }) => [MPROCS, '--server', `${inUrl(own)}:4050`, '--ctl', '{c: next-proc}'],
		},
		calls: TCP_SERVER,
	},
];

/** The cells of a row that exist. */
export function cells({ calls }: Row): Partial<Record<Call, Seen>> {
	return Object.fromEntries(
		CALLS.flatMap((call) => {
			const cell = calls[call];
			return 'never' in cell ? [] : [[call, [...cell].sort()]];
		}),
	);
}

/** What nginx is told, for a family: HTTP and datagrams, each answered by itself at one place and by the peer at another. */
export function nginxConfiguration({ inUrl, any, peer }: Place): string {
	return `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
error_log stderr;
events {}
http {
	access_log off;
	server {
		listen ${inUrl(any)}:80;
		location = / { return 200 "$remote_addr $server_addr"; }
		location / { proxy_pass http://${inUrl(peer)}:80; }
	}
}
stream {
	server { listen ${inUrl(any)}:53 udp; return "$remote_addr $server_addr"; }
	server { listen ${inUrl(any)}:54 udp; proxy_pass ${inUrl(peer)}:7; proxy_responses 1; }
}
`;
}
