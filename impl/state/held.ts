/** The open lock of this process, if it holds it: what lock.ts tells of itself to those that need no libbpf. */

let held: number | null = null;

/**
 * For what a child is given as a further open file: one that goes on changing the host after its parent was killed keeps the lock
 * until it is done. Null where nothing is locked.
 */
export function heldLock(): number | null {
	return held;
}

/** For lock.ts alone. */
export function setHeldLock(fd: number | null): void {
	held = fd;
}
