/**
 * Programs that nobody here wrote, with what they talk to: what each says of it, which is the same whether its flows are turned or not.
 * Commands are of the shell; each client's words are cut down to what does not depend on ports and times.
 */
import { createHash } from 'node:crypto';
import { NONCE } from './nonce.ts';
import { BIG, DNSMASQ, NAMES, type Server, TEN } from './servers.ts';

/** Addresses of a family. */
export interface At {
	family: 4 | 6;
	/** the container's */
	own: string;
	/** who its servers take it to be: the container, or the terminating proxy, which uses the address that a flow is to */
	from: (to: string) => string;
	/** the `n`-th behind the peer, from 1 on */
	to: (n: number) => string;
	inUrl: (address: string) => string;
}

export interface Row {
	/** program and way */
	what: string;
	/** false: the program does not speak in clear even where nothing is turned */
	clear: boolean;
	/** a server of web's own, which the client asks */
	beside?: (at: At) => Server;
	client: (at: At) => string;
	says: (at: At) => string;
	/** what its server has seen of that: a command, and what it prints */
	seen?: { command: (at: At) => string; says: (at: At) => string };
}

const SHA256 = createHash('sha256').update(BIG).digest('hex');

const CURL = `curl -sS --max-time 300 -w '%{remote_ip} %{remote_port} %{local_ip} HTTP/%{http_version} %{http_code}\\n'`;
const SSH =
	'ssh -F none -i /run/id -o BatchMode=yes -o UserKnownHostsFile=/run/known -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR';
/** Of TCP its server counts what has come by when the client has sent all: what is on its way then, in buffers, it does not wait for. */
const IPERF3 = `sed -nE 's/.* local (\\S+) port [0-9]+ connected to (\\S+) port ([0-9]+)$/\\1 \\2 \\3/p;
	s/.* sec +([0-9.]+ MBytes) .* sender$/sent \\1/p;
	s/.* sec +[0-9.]*[1-9][0-9.]* [KM]Bytes +.* [KM]bits.sec +receiver$/received/p;
	s,.* ([0-9]+)/[1-9][0-9]+ \\(.*%\\) +(sender|receiver)$,\\1 lost \\2,p'`;
export const ROWS: Row[] = [
	{
		what: 'curl, HTTP/1.1',
		clear: true,
		client: ({ inUrl, to }) => `${CURL} --http1.1 http://${inUrl(to(7))}/seen`,
		says: ({ own, from, to }) =>
			`${NONCE} ${from(to(7))} ${to(7)} HTTP/1.1
${to(7)} 80 ${own} HTTP/1.1 200
`,
	},
	{
		what: 'curl, HTTP/2, two requests on one connection',
		clear: true,
		client: ({ inUrl, to }) => {
			const url = `http://${inUrl(to(7))}/seen`;
			return `${CURL.replace('{http_code}', '{http_code} %{num_connects}')} --http2-prior-knowledge ${url} ${url}`;
		},
		says: ({ own, from, to }) =>
			[1, 0]
				.map((connects) => `${NONCE} ${from(to(7))} ${to(7)} HTTP/2.0\n${to(7)} 80 ${own} HTTP/2 200 ${connects}\n`)
				.join(''),
	},
	{
		what: `curl, ${BIG.length / 1e6} MB each way`,
		clear: true,
		client: ({ inUrl, to }) => `
			${CURL} -T /run/big http://${inUrl(to(7))}/put
			curl -sS --max-time 300 http://${inUrl(to(7))}/big | sha256sum`,
		says: ({ own, to }) => `${to(7)} 80 ${own} HTTP/1.1 201
${SHA256}  -
`,
		seen: {
			command: () => 'sha256sum </run/www/put; rm /run/www/put',
			says: () => `${SHA256}  -\n`,
		},
	},
	{
		what: 'curl, an upload that is aborted half-way',
		clear: true,
		// until half of it has come there; nginx takes it away when its client has gone
		client: ({ inUrl, to }) => `
			curl -sS --limit-rate 200K -T /run/big http://${inUrl(to(7))}/aborted & upload=$!
			for each in $(seq 600); do
				[ $(cat /run/body/* 2>/dev/null | wc -c) -gt ${BIG.length / 2} ] && break
				sleep 0.1
			done
			kill -KILL $upload
			wait $upload 2>/dev/null
			echo $?`,
		says: () => '137\n',
		seen: {
			command: () => `
				for each in $(seq 600); do [ -s /run/aborted.log ] && break; sleep 0.1; done
				cat /run/aborted.log; : >/run/aborted.log
				ls /run/body /run/www`,
			says: ({ from, to }) => `${from(to(7))} ${to(7)} PUT /aborted HTTP/1.1 400
/run/body:

/run/www:
big
`,
		},
	},
	{
		what: 'dig, ten servers from one port',
		clear: true,
		client: ({ family, own, to }) => {
			const ask = `dig -b '${own}#5399' +tries=1 +time=30 +noall +answer +stats ${NONCE}.example ${family === 6 ? 'AAAA' : 'A'}`;
			return `for each in ${TEN.map(to).join(' ')}; do ${ask} @$each; done |
				sed -nE 's/^${NONCE}.*[ \t](\\S+)$/\\1/p; s/^;; SERVER: (\\S+)\\(.*/from \\1/p'`;
		},
		says: ({ to }) => TEN.map((n) => `${to(n)}\nfrom ${to(n)}#53\n`).join(''),
	},
	{
		what: 'dnsmasq, a resolver under the load of dnsperf',
		clear: true,
		beside: ({ to }) => ({
			argv: [...DNSMASQ, '--cache-size=0', `--server=${to(9)}`],
			listens: "-lu 'sport = :53'",
		}),
		client: ({ own }) =>
			`dnsperf -s ${own} -d /run/names -n 1 -q 20 -t 30 | sed -nE 's/^ +(Queries (sent|completed|lost)|Response codes): +/\\1 /p'`,
		says: () => `Queries sent ${NAMES}
Queries completed ${NAMES} (100.00%)
Queries lost 0 (0.00%)
Response codes NOERROR ${NAMES} (100.00%)
`,
	},
	{
		what: 'iperf3',
		clear: false,
		client: ({ to }) => `iperf3 -c ${to(3)} -n 2M --bidir | ${IPERF3}`,
		says: ({ own, to }) => `${own} ${to(3)} 5201
${own} ${to(3)} 5201
sent 2.00 MBytes
received
sent 2.00 MBytes
received
`,
	},
	{
		what: 'iperf3, --udp',
		clear: false,
		client: ({ to }) => `iperf3 --udp -c ${to(3)} -t 5 -l 500 -b 200K --bidir | ${IPERF3}`,
		says: ({ own, to }) => `${own} ${to(3)} 5201
${own} ${to(3)} 5201
0 lost sender
0 lost receiver
0 lost sender
0 lost receiver
`,
	},
	{
		what: 'ssh, a file each way',
		clear: false,
		client: ({ to }) => `
			${SSH} root@${to(4)} 'echo $SSH_CONNECTION | cut -d" " -f1,3,4; sha256sum; exit 7' </run/big
			echo $?
			${SSH} root@${to(4)} cat /run/big | sha256sum`,
		says: ({ from, to }) => `${from(to(4))} ${to(4)} 22
${SHA256}  -
7
${SHA256}  -
`,
	},
	{
		what: 'openssl s_client',
		clear: false,
		client: ({ inUrl, to }) => `
			echo GET /nonce HTTP/1.0 | openssl s_client -connect ${inUrl(to(5))}:4443 -CAfile /run/inner.pem -brief -ign_eof -crlf \\
				-verify_return_error -verify_hostname inner.example 2>&1 | grep -E '^(Connecting|Protocol|Verif|${NONCE})'`,
		says: ({ to }) => `Connecting to ${to(5)}
Protocol version: TLSv1.3
Verification: OK
Verified peername: inner.example
${NONCE}
`,
	},
	{
		what: 'redis-cli, one question and a thousand',
		clear: true,
		client: ({ to }) => `
			ask() { redis-cli -h ${to(6)} "$@"; }
			ask FLUSHALL
			ask SET nonce ${NONCE}
			ask GET nonce
			ask CLIENT INFO | grep -oE '(addr|laddr)=\\S+' | sed -E 's/^(addr=.*):[0-9]+$/\\1/'
			for each in $(seq 1000); do echo SET key-$each ${NONCE}; done | ask --pipe | tail -n1
			ask DBSIZE`,
		says: ({ from, inUrl, to }) => `OK
OK
${NONCE}
addr=${inUrl(from(to(6)))}
laddr=${inUrl(to(6))}:6379
errors: 0, replies: 1000
1001
`,
	},
];
