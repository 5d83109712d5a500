/**
 * For tests: frames by a packet socket, round the programs at the device's egress (PACKET_QDISC_BYPASS) unless it is told `by-qdisc`.
 *
 *     frames.ts DEVICE round|by-qdisc HEX…
 */
import koffi from 'koffi';
import { findDevice } from '../addresses.ts';

const libc = koffi.load('libc.so.6');
const socket = libc.func('int socket(int family, int type, int protocol)');
const setsockopt = libc.func('int setsockopt(int fd, int level, int option, const void *value, uint32_t size)');
const sendto = libc.func(
	'int64_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length)',
);

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_PACKET = 263;
const PACKET_QDISC_BYPASS = 20;
/** struct sockaddr_ll */
const ADDRESS_SIZE = 20;
const ETHERTYPE = 12;

const [device = '', way = '', ...frames] = process.argv.slice(2);
const fd: number = socket(AF_PACKET, SOCK_RAW, 0);
const one = Buffer.from([1, 0, 0, 0]);
if (way === 'round' && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, one, one.length) < 0)
	throw new Error(`PACKET_QDISC_BYPASS: ${koffi.errno()}`);
for (const hex of frames) {
	const frame = Buffer.from(hex, 'hex');
	const address = Buffer.alloc(ADDRESS_SIZE);
	address.writeUInt16LE(AF_PACKET, 0);
	frame.copy(address, 2, ETHERTYPE, ETHERTYPE + 2);
	address.writeInt32LE(findDevice(device) ?? 0, 4);
	// what a program drops is said to be ENOBUFS: who looks on the wire knows
	sendto(fd, frame, frame.length, 0, address, ADDRESS_SIZE);
}
