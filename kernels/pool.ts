/**
 * The pool: the one process that owns QEMUs. It boots templates, keeps forks ready ahead of need, and lends them to clients on
 * a Unix socket (`client.ts`), so that it outlives the test workers and its guests die with it.
 *
 *     client ── control (RPC: pool-protocol.ts) ──▶ pool ──▶ QEMU, QEMU, QEMU
 *        └───── agent ID (raw bytes, one connection per fork) ─────┘
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { runDir } from './cache.ts';
import { openChannel } from './channel.ts';
import { findSplat } from './console.ts';
import { PathproofError } from './errors.ts';
import { type Kept, keepFork, resumeKept } from './kept.ts';
import type { ForkGrant, ForkRequest, LabGrant, LabRequest, PoolEvents, PoolFunctions } from './pool-protocol.ts';
import type { Qemu } from './qemu.ts';
import { isWhole, ramPath, restore, templateConsole } from './template.ts';
import { type Template, Templates } from './templates.ts';

export interface PoolOptions {
	/** forks that are lent at once; a further one waits. 8 without */
	maxRunning?: number;
	/** forks made ahead of need, over all templates. 4 without */
	spares?: number;
	/** one line of what long work is being done: told on stderr without */
	note?: (text: string) => void;
}

export interface Pool extends AsyncDisposable {
	/** path of the Unix socket for `connectPool` */
	readonly socket: string;
	close(): Promise<void>;
}

/** Forks of one template that are ready, or nearly. */
interface Shelf {
	template: Template;
	spares: Promise<Qemu>[];
	lastUse: number;
}

interface Lent {
	grant: ForkGrant;
	qemu: Qemu;
	template: Template | null;
	client: Client;
	/** of a lab in the making: what to do with the guest when it is built */
	builder?: { save(data: unknown): Promise<void>; abandon(error: Error): void };
}

interface Client {
	events: { gone(id: number, error: ReturnType<PathproofError['toJSON']>): void };
}

export async function startPool(options: PoolOptions = {}): Promise<Pool> {
	const pool = new RunningPool(options);
	await pool.listen();
	return pool;
}

class RunningPool implements Pool {
	readonly socket: string;
	#server: Server;
	#connections = new Set<Socket>();
	#templates: Templates;
	#shelves = new Map<string, Shelf>();
	#lent = new Map<number, Lent>();
	#ids = 0;
	#maxSpares: number;
	#maxRunning: number;
	#waiting: (() => void)[] = [];
	/** Restores in flight: more at once only share the same CPUs. A fork somebody waits for goes before a spare. */
	#restores = new PQueue({ concurrency: Math.max(2, cpus().length) });
	#alive = new Set<Qemu>();
	#closing = false;

	constructor({ maxRunning = 8, spares = 4, note = (text) => void process.stderr.write(`${text}\n`) }: PoolOptions) {
		this.#maxRunning = maxRunning;
		this.#maxSpares = spares;
		this.#templates = new Templates(note);
		this.socket = join(runDir().dir, 'pool');
		this.#server = createServer((socket) => this.#accept(socket));
	}

	async listen(): Promise<void> {
		rmSync(this.socket, { force: true });
		await new Promise<void>((resolve, reject) => {
			this.#server.once('error', reject);
			this.#server.listen(this.socket, resolve);
		});
		chmodSync(this.socket, 0o600);
	}

	async close(): Promise<void> {
		this.#closing = true;
		this.#restores.clear();
		this.#server.close();
		for (const connection of this.#connections) connection.destroy();
		await this.#templates.close();
		// A restore under way has a QEMU that is not ours until it is done.
		await this.#restores.onIdle();
		await Promise.all([...this.#alive].map((qemu) => qemu.kill()));
		rmSync(this.socket, { force: true });
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	/** The first line of a connection says what it is for. */
	#accept(socket: Socket): void {
		this.#connections.add(socket);
		socket.on('close', () => this.#connections.delete(socket));
		socket.on('error', () => socket.destroy());
		socket.once('data', (bytes: Buffer) => {
			socket.pause();
			const end = bytes.indexOf(0x0a);
			const [purpose, id] = bytes.subarray(0, end).toString().split(' ');
			if (bytes.length > end + 1) socket.unshift(bytes.subarray(end + 1));
			if (purpose === 'control') this.#control(socket);
			else if (purpose === 'agent') this.#relay(socket, Number(id));
			else socket.destroy();
		});
	}

	#relay(socket: Socket, id: number): void {
		const lent = this.#lent.get(id);
		if (!lent) return void socket.destroy();
		const { agent } = lent.qemu;
		socket.pipe(agent, { end: false });
		agent.pipe(socket);
		agent.on('close', () => socket.destroy());
		socket.on('close', () => {
			socket.unpipe(agent);
			agent.unpipe(socket);
		});
	}

	#control(socket: Socket): void {
		const client: Client = { events: { gone: () => {} } };
		const functions: PoolFunctions = {
			fork: (request) => this.#fork(request, client),
			lab: (request) => this.#lab(request, client),
			saveLab: (id, data) => this.#builder(id).save(data),
			abandonLab: async (id, error) => this.#builder(id).abandon(PathproofError.fromJSON(error)),
			resume: (name) => this.#resume(name, client),
			release: (id) => this.#release(id),
			keep: (id, name) => this.#keep(id, name),
			console: (id) => this.#console(id),
			health: async (id) => this.#health(this.#get(id)),
			qmp: (id, command, args) => this.#get(id).qemu.qmp.execute(command, args),
		};
		const channel = openChannel<PoolEvents, PoolFunctions>(socket, functions, { timeout: Number.POSITIVE_INFINITY });
		client.events.gone = (id, error) => void channel.remote.gone.asEvent(id, error).catch(() => {}); // the client left first
		socket.on('close', () => this.#dropClient(client));
		socket.resume();
	}

	#dropClient(client: Client): void {
		for (const [id, lent] of this.#lent) {
			if (lent.client !== client) continue;
			lent.builder?.abandon(new PathproofError('its client went away', { stage: 'lost' }));
			void this.#release(id);
		}
	}

	async #fork({ kernel, profile = 'functional', nics, lab }: ForkRequest, client: Client): Promise<ForkGrant> {
		await this.#room();
		const template = lab
			? await this.#templates.lab(kernel, profile, lab, nics)
			: await this.#templates.kernel(kernel, profile, nics);
		const asked = performance.now();
		const qemu = await this.#take(template);
		await qemu.qmp.execute('cont');
		return this.#lend(qemu, template, client, performance.now() - asked);
	}

	#lend(qemu: Qemu, template: Template | null, client: Client, waitMs: number, builder?: Lent['builder']): ForkGrant {
		const id = ++this.#ids;
		const { kernel, accel, profile } = template?.guest ?? (qemu as Qemu & Kept).guest;
		const grant: ForkGrant = { id, kernel, accel, profile, waitMs, qemuPid: qemu.pid!, data: template?.record.data };
		this.#lent.set(id, { grant, qemu, template, client, builder });
		void qemu.gone.then((error) => {
			if (this.#lent.has(id)) client.events.gone(id, error.toJSON());
		});
		// The agent's port closes when its process ends, though the guest goes on.
		qemu.qmp.on('event', (name, data) => {
			if (name !== 'VSERPORT_CHANGE' || data.open !== false || !this.#lent.has(id)) return;
			client.events.gone(id, qemu.error("the guest's agent ended", 'lost').toJSON());
		});
		return grant;
	}

	/** A fork of the template: one that is ready, or a new one. Then the shelf is filled again. */
	async #take(template: Template): Promise<Qemu> {
		const shelf = this.#shelf(template);
		shelf.lastUse = performance.now();
		const taken = shelf.spares.shift() ?? this.#restore(template, 1);
		this.#fill(shelf);
		try {
			const qemu = await taken;
			const dead = await Promise.race([qemu.gone, null]);
			return dead ? await this.#restore(template, 1) : qemu;
		} catch (error) {
			if (await isWhole(template.dir)) throw error;
			const remade = await this.#templates.remake(template);
			return this.#restore(remade, 1);
		}
	}

	#shelf(template: Template): Shelf {
		const shelf = this.#shelves.get(template.key) ?? { template, spares: [], lastUse: 0 };
		this.#shelves.set(template.key, shelf);
		return shelf;
	}

	/** Half of the spares for the template in use, so that two side by side do not starve each other. */
	#fill(shelf: Shelf): void {
		if (this.#closing) return;
		const wanted = Math.ceil(this.#maxSpares / 2);
		while (shelf.spares.length < wanted) {
			const spare = this.#restore(shelf.template, 0);
			spare.catch(() => {}); // told to whoever takes it
			shelf.spares.push(spare);
		}
		const byUse = [...this.#shelves.values()].sort((a, b) => a.lastUse - b.lastUse);
		let surplus = byUse.reduce((sum, { spares }) => sum + spares.length, 0) - this.#maxSpares;
		for (const { spares } of byUse) {
			for (; surplus > 0 && spares.length > 0; surplus--) void discard(spares.pop()!);
		}
	}

	#restore(template: Template, priority: number): Promise<Qemu> {
		return this.#restores.add(
			async () => {
				if (this.#closing) throw new PathproofError('the pool is closing', { stage: 'lost' });
				const { guest, dir } = template;
				const qemu = await restore(guest, dir, { kind: 'fork', path: ramPath(dir) });
				this.#own(qemu);
				return qemu;
			},
			{ priority },
		);
	}

	#own(qemu: Qemu): void {
		this.#alive.add(qemu);
		void qemu.gone.then(() => this.#alive.delete(qemu));
	}

	/** Where the lab is there, its data; else a guest to build it in, whose state then becomes the template. */
	async #lab(request: LabRequest, client: Client): Promise<LabGrant> {
		const { promise: builder, resolve, reject } = Promise.withResolvers<ForkGrant>();
		const made = this.#templates.makeLab(request, async (qemu, template, save) => {
			this.#own(qemu);
			await qemu.qmp.execute('cont');
			const built = Promise.withResolvers<unknown>();
			const grant = this.#lend(qemu, template, client, 0, {
				save: async (data) => {
					built.resolve(data);
					await made;
				},
				abandon: (error) => built.reject(error),
			});
			resolve(grant);
			try {
				const lost = qemu.gone.then((error) => Promise.reject(error));
				lost.catch(() => {}); // raced below
				await save(await Promise.race([built.promise, lost]));
			} finally {
				this.#lent.delete(grant.id);
			}
		});
		made.catch(reject);
		const first = await Promise.race([made, builder]);
		return 'id' in first ? { build: first } : { data: first.record.data };
	}

	#builder(id: number): NonNullable<Lent['builder']> {
		const { builder } = this.#get(id);
		if (!builder) throw new PathproofError(`fork ${id} builds no lab`, { stage: 'call' });
		return builder;
	}

	#get(id: number): Lent {
		const lent = this.#lent.get(id);
		if (!lent) throw new PathproofError(`fork ${id} was released`, { stage: 'call' });
		return lent;
	}

	async #release(id: number): Promise<void> {
		const lent = this.#lent.get(id);
		if (!lent) return;
		this.#lent.delete(id);
		await lent.qemu.kill();
		this.#waiting.shift()?.();
	}

	async #room(): Promise<void> {
		while (this.#lent.size >= this.#maxRunning) {
			await new Promise<void>((resolve) => this.#waiting.push(resolve));
		}
	}

	async #keep(id: number, name: string): Promise<void> {
		const { qemu, template } = this.#get(id);
		if (template) await keepFork(qemu, template.guest, name);
	}

	async #resume(name: string, client: Client): Promise<ForkGrant> {
		const { qemu, guest } = await resumeKept(name);
		this.#own(qemu);
		await qemu.qmp.execute('cont');
		return this.#lend(Object.assign(qemu, { guest }), null, client, 0);
	}

	async #console(id: number): Promise<string> {
		const { qemu, template } = this.#get(id);
		return (template ? await templateConsole(template.dir) : '') + qemu.console.text;
	}

	#health({ qemu }: Lent): ReturnType<PathproofError['toJSON']> | null {
		const splat = findSplat(qemu.console.text);
		return splat && qemu.error(`the guest's kernel says: ${splat.line}`, 'panic').toJSON();
	}
}

async function discard(spare: Promise<Qemu>): Promise<void> {
	const qemu = await spare.catch(() => null); // one that failed needs no end
	await qemu?.kill();
}
