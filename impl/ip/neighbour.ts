/**
 * Neighbours that are set by hand, asked of the kernel itself. `ip neigh` first lists every link of the netns, and for each of them the
 * kernel looks for the netns of its other end among all: of n containers the last would pay for n².
 */
import { closeSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { addressBytes, deviceIndex } from '../addresses.ts';
import { check, checkCall, native } from '../libbpf/native.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
/** SOCK_RAW, and not for the programs that this one starts */
const SOCK_RAW_CLOEXEC = 0x80003;
const RTM_NEWNEIGH = 28;
/** NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE */
const FLAGS = 0x605;
const NUD_PERMANENT = 0x80;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const HEADER_SIZE = 16;

export interface Neighbour {
	/** IPv6 or IPv4 */
	address: string;
	/** `02:f6:33:49:44:73` */
	mac: string;
	/** in this thread's netns */
	device: string;
}

/** The same as one types it after `ip`. */
export function neighbourCommand({ address, mac, device }: Neighbour): string {
	return `neigh add ${address} lladdr ${mac} dev ${device} nud permanent`;
}

/** Throws a DatapathError where there is one of that address already, or no such device. */
export function addNeighbour(neighbour: Neighbour): void {
	const socket = checkCall(native.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, 0), 'a netlink socket');
	try {
		const request = neighbourRequest(neighbour, deviceIndex(neighbour.device));
		checkCall(native.send(socket, request, request.length, 0), 'ask for a neighbour');
		// struct nlmsghdr, and of an answer `int error` behind it, 0 where it is done
		const answer = Buffer.alloc(256);
		checkCall(native.recv(socket, answer, answer.length, 0), 'the answer for a neighbour');
		check(answer.readInt32LE(HEADER_SIZE), `ip ${neighbourCommand(neighbour)}`);
	} finally {
		closeSync(socket);
	}
}

/** struct nlmsghdr { __u32 len; __u16 type, flags; __u32 seq, pid; }, struct ndmsg, and two struct rtattr { __u16 len, type; } */
export function neighbourRequest({ address, mac }: Omit<Neighbour, 'device'>, ifindex: number): Buffer {
	const bytes = isIPv4(address) ? addressBytes(address).subarray(12) : addressBytes(address);
	// struct ndmsg { __u8 family, pad; __u16 pad; __s32 ifindex; __u16 state; __u8 flags, type; }
	const neighbour = Buffer.alloc(12);
	neighbour.writeUInt8(isIPv4(address) ? AF_INET : AF_INET6, 0);
	neighbour.writeInt32LE(ifindex, 4);
	neighbour.writeUInt16LE(NUD_PERMANENT, 8);
	const body = Buffer.concat([
		neighbour,
		attribute(NDA_DST, bytes),
		attribute(NDA_LLADDR, Buffer.from(mac.replaceAll(':', ''), 'hex')),
	]);
	const header = Buffer.alloc(HEADER_SIZE);
	header.writeUInt32LE(HEADER_SIZE + body.length, 0);
	header.writeUInt16LE(RTM_NEWNEIGH, 4);
	header.writeUInt16LE(FLAGS, 6);
	return Buffer.concat([header, body]);
}

/** Filled up to a multiple of four. */
function attribute(type: number, value: Buffer): Buffer {
	const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
	bytes.writeUInt16LE(4 + value.length, 0);
	bytes.writeUInt16LE(type, 2);
	value.copy(bytes, 4);
	return bytes;
}
