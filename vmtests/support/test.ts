/** vitest's `test` with the fixtures of this framework. Each costs nothing until a test asks for it. */
import { test as base, inject } from 'vitest';
import { connectPool } from '../../kernels/client.ts';
import { Forks } from './forks.ts';
import { equip } from './guest-vm.ts';
import { openLab } from './lab.ts';
import './provided.ts';
import { requirer } from './requires.ts';

export const test = base
	/** The kernel of this project: id, series, version, release, flavour, tier. */
	.extend('kernel', { scope: 'worker' }, () => inject('pathproofKernel'))
	// biome-ignore lint/correctness/noEmptyPattern: vitest reads off the pattern what a fixture needs
	.extend('pool', { scope: 'worker' }, async ({}, { onCleanup }) => {
		const client = await connectPool(inject('pathproofPool'));
		onCleanup(() => client[Symbol.asyncDispose]());
		return client;
	})
	/** The guests of this test and attempt. `forks.take` lends a further one. */
	.extend('forks', async ({ pool, task }, { onCleanup }) => {
		const forks = new Forks(pool, task);
		onCleanup(() => forks.finish());
		return forks;
	})
	/** A fresh guest: a fork of the kernel as it was when it had just booted. */
	.extend('vm', async ({ forks, kernel }) => equip(await forks.take({ kernel: kernel.request })))
	/** A fresh guest with a container `web` on a `host`, and a `peer` beyond the wire: `await lab({ device: 'netkit', forward: 'redirect' })`. */
	.extend('lab', ({ forks, pool, kernel }) => openLab({ forks, pool, kernel }))
	/** `await requires('netkit', 'tcx')` skips the test where this kernel lacks one, and fails it where the kernel ought to have it. */
	.extend('requires', ({ pool, kernel, skip }) => requirer({ pool, kernel, skip }));
