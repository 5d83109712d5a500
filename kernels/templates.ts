/** The templates of one pool: found in the cache or made, verified once, and held for as long as the pool lives. */
import type { AgentFunctions } from './agent/protocol.ts';
import { boot } from './boot.ts';
import { type Entry, entry, find, keyOf, remove } from './cache.ts';
import type { Channel } from './channel.ts';
import { PathproofError } from './errors.ts';
import { assembleGuest } from './guest.ts';
import { bringNics, demandDriver } from './nics.ts';
import type { LabRequest } from './pool-protocol.ts';
import { getKernel } from './pull.ts';
import type { Qemu } from './qemu.ts';
import {
	copyRam,
	type Guest,
	isWhole,
	ramPath,
	readTemplate,
	restore,
	save,
	type TemplateRecord,
	templateKey,
} from './template.ts';
import type { Profile } from './vm.ts';
import type { Nics } from './wire.ts';

export interface Template {
	kind: 'template' | 'lab';
	key: string;
	dir: string;
	guest: Guest;
	record: TemplateRecord;
}

/** Builds a lab in `qemu`, a running copy of `template`, and calls `save` with the data that its forks get. */
export type LabBuilder = (qemu: Qemu, template: Template, save: (data: unknown) => Promise<void>) => Promise<void>;

/** Calls once what tests call first: Node compiles a function when it first runs, and forks start with what is compiled. */
async function warm(agent: Channel<AgentFunctions>['remote']): Promise<void> {
	for (let times = 0; times < 3; times++) {
		await agent.setClock(`${BigInt(Date.now()) * 1_000_000n}`);
		await agent.run(['true']);
		await agent.readFile('/proc/uptime');
		await agent.dmesg();
	}
}

export class Templates {
	#note: (text: string) => void;
	#guests = new Map<string, Promise<Guest>>();
	#templates = new Map<string, Promise<Template>>();
	#held: Entry[] = [];

	constructor(note: (text: string) => void) {
		this.#note = note;
	}

	/** The booted kernel, ready to fork. */
	kernel(kernel: string, profile: Profile, nics?: Nics): Promise<Template> {
		return this.#once(`${kernel} ${profile} nics ${nics ?? 0}`, async () => {
			const guest = await this.#guest(kernel, profile, nics);
			return this.#sound('template', templateKey(guest), guest, async (dir) => {
				const { kernel, accel } = guest;
				const having = nics ? ` with ${nics} NICs` : '';
				this.#note(`booting linux ${kernel.id}${having} (${profile}, ${accel}) once: its forks start from there`);
				const { qemu, channel, hello, bootMs } = await boot(guest, { kind: 'template', path: ramPath(dir) });
				try {
					if (nics) await bringNics(channel.remote, kernel, nics);
					await warm(channel.remote);
					await save(qemu, dir, { hello, bootMs, data: null });
				} finally {
					await qemu.kill();
				}
			});
		});
	}

	/** A lab that is there. Throws stage `call` where it was never made. */
	lab(kernel: string, profile: Profile, lab: string, nics?: Nics): Promise<Template> {
		return this.makeLab({ kernel, profile, nics, lab }, () => {
			throw new PathproofError('this lab was never built', { stage: 'call', kernel });
		});
	}

	makeLab(request: LabRequest, build: LabBuilder): Promise<Template> {
		const { kernel, profile = 'functional', nics, lab, on, what = 'a lab' } = request;
		return this.#once(`${kernel} ${profile} nics ${nics ?? 0} ${lab}`, async () => {
			const below = on ? await this.lab(kernel, profile, on, nics) : await this.kernel(kernel, profile, nics);
			return this.#sound('lab', keyOf('lab', below.key, lab), below.guest, async (dir) => {
				this.#note(`building ${what} on linux ${below.guest.kernel.id} once`);
				const started = performance.now();
				const ram = await copyRam(below.dir, dir);
				const qemu = await restore(below.guest, below.dir, { kind: 'template', path: ram });
				try {
					await build(qemu, below, async (data) => {
						await save(qemu, dir, { hello: below.record.hello, bootMs: performance.now() - started, data });
					});
				} finally {
					await qemu.kill();
				}
			});
		});
	}

	/** Throw a corrupted template away and make it anew. A lab can only be made by its client: for that it throws. */
	async remake({ kind, key, dir, guest }: Template): Promise<Template> {
		this.#tellCorrupted(guest, dir);
		remove(kind, key);
		for (const [name, made] of this.#templates) {
			if ((await made.catch(() => null))?.key === key) this.#templates.delete(name);
		}
		if (kind === 'lab') {
			throw new PathproofError('the snapshot of a lab was corrupted, and is thrown away', {
				stage: 'restore',
				kernel: guest.kernel.id,
				hint: 'run it again: the lab is built anew',
			});
		}
		return this.kernel(guest.kernel.selector ?? guest.kernel.id, guest.profile, guest.nics);
	}

	async close(): Promise<void> {
		await Promise.allSettled(this.#templates.values());
		for (const held of this.#held) held.release();
	}

	async #guest(kernel: string, profile: Profile, nics?: Nics): Promise<Guest> {
		const name = `${kernel} ${profile}`;
		const known = this.#guests.get(name) ?? getKernel(kernel).then((found) => assembleGuest(found, profile));
		this.#guests.set(name, known);
		known.catch(() => this.#guests.delete(name));
		const guest = await known;
		if (!nics) return guest;
		demandDriver(guest.kernel);
		return { ...guest, nics };
	}

	/** One making at a time of what has this name; a failure is not remembered. */
	#once(name: string, make: () => Promise<Template>): Promise<Template> {
		const known = this.#templates.get(name) ?? make();
		this.#templates.set(name, known);
		known.catch(() => this.#templates.delete(name));
		return known;
	}

	/** The entry, verified once per pool: a snapshot whose content is no longer what was saved is made anew. */
	async #sound(
		kind: Template['kind'],
		key: string,
		guest: Guest,
		build: (dir: string) => Promise<void>,
	): Promise<Template> {
		const old = find(kind, key);
		if (old && !(await isWhole(old.dir))) {
			this.#tellCorrupted(guest, old.dir);
			old.release();
			remove(kind, key);
		} else {
			old?.release();
		}
		const made = await entry(kind, key, build, { durable: false, what: `linux ${guest.kernel.id}` });
		this.#held.push(made);
		return { kind, key, dir: made.dir, guest, record: await readTemplate(made.dir) };
	}

	#tellCorrupted(guest: Guest, dir: string): void {
		this.#note(`the snapshot of linux ${guest.kernel.id} in ${dir} is corrupted: it is made anew`);
	}
}
