/**
 * The agent's end of the channel: a virtio-serial port, or a serial line where the kernel has no virtio_console.
 *
 * The port is opened without blocking, because a blocking write spins in the kernel with interrupts off until the host has
 * read. It reads as end of file while nobody is connected on the host: then we wait, for a fork's host connects later.
 */
import { execFileSync } from 'node:child_process';
import { constants, existsSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { POLLHUP, POLLIN, POLLOUT, poll } from './native.ts';
import { PORT_NAME } from './protocol.ts';

export interface Port {
	/** Answers nothing when the port took it all at once, else a promise of that. */
	send(frame: Buffer): Promise<void> | void;
	/** Hands on what comes, for ever. `hangUp` is called when the host has gone. */
	listen(data: (chunk: Buffer) => void, hangUp: () => void): Promise<never>;
}

/** Milliseconds between looks for a host that is not connected, and for a port that the driver has not made yet. */
const PATIENCE = 20;
const CHUNK = 256 * 1024;

/** `serial`: a tty such as `/dev/ttyS1` to use in place of the virtio-serial port. */
export async function openPort(serial: string | undefined): Promise<Port> {
	const path = serial ? rawTty(serial) : await findPort();
	const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY);
	const buffer = Buffer.allocUnsafeSlow(CHUNK);
	let queue: Promise<void> | undefined;

	async function writeRest(frame: Buffer): Promise<void> {
		for (let rest = frame; rest.length > 0; ) {
			const written = tryWrite(fd, rest);
			rest = rest.subarray(written);
			if (written === 0 && (await poll(fd, POLLOUT)) & POLLHUP) await sleep(PATIENCE);
		}
	}

	return {
		send(frame) {
			if (!queue) {
				const written = tryWrite(fd, frame);
				if (written === frame.length) return;
				frame = frame.subarray(written);
			}
			const mine = (queue ?? Promise.resolve()).then(() => writeRest(frame));
			queue = mine;
			return mine.finally(() => {
				if (queue === mine) queue = undefined;
			});
		},
		async listen(data, hangUp) {
			for (;;) {
				const events = await poll(fd, POLLIN);
				const size = events & POLLIN ? readSync(fd, buffer) : 0;
				if (size > 0) data(buffer.subarray(0, size));
				else {
					hangUp();
					await sleep(PATIENCE);
				}
			}
		},
	};
}

function tryWrite(fd: number, bytes: Buffer): number {
	try {
		return writeSync(fd, bytes);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
		throw error;
	}
}

/** The device of the port of our name. There is no udev, so no `/dev/virtio-ports`. */
async function findPort(): Promise<string> {
	const folder = '/sys/class/virtio-ports';
	if (!existsSync(folder))
		throw new Error(`there is no ${folder}: CONFIG_VIRTIO_CONSOLE is not set, or its module is not here`);
	for (;;) {
		for (const port of readdirSync(folder)) {
			if (readFileSync(`${folder}/${port}/name`, 'utf8').trim() === PORT_NAME) return `/dev/${port}`;
		}
		await sleep(PATIENCE);
	}
}

function rawTty(path: string): string {
	execFileSync('stty', ['-F', path, 'raw', '-echo', 'clocal', '115200']);
	return path;
}
