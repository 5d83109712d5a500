/** Doing things in another netns. */
import { closeSync, openSync } from 'node:fs';
import { PathproofError } from '../errors.ts';
import { enterNetns } from './native.ts';

const home = openSync('/proc/self/ns/net', 'r');

/**
 * Calls `act` with Node's thread in the netns of that name (made by `ip netns add`), and comes home. Synchronous on purpose:
 * across an await other work of the agent would run there too.
 */
export function inNetns<T>(name: string, act: () => T): T {
	const there = open(name);
	try {
		enterNetns(there);
		return act();
	} finally {
		enterNetns(home);
		closeSync(there);
	}
}

function open(name: string): number {
	try {
		return openSync(`/run/netns/${name}`, 'r');
	} catch (cause) {
		throw new PathproofError(`there is no netns ${name} in the guest`, {
			stage: 'call',
			hint: 'ip netns add NAME',
			cause,
		});
	}
}
