/** Puts together what a guest of one kernel is made of: the initramfs, the root, virtme-ng's answer, the accelerator. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KVM_PATIENCE, knownAccel, proveKvm } from './accel.ts';
import { boot } from './boot.ts';
import { type Entry, entry, keyOf } from './cache.ts';
import { guestFiles, kernelArguments } from './initramfs.ts';
import type { Kernel } from './kernel.ts';
import { soundQemu } from './qemu-version.ts';
import type { Guest } from './template.ts';
import { askVirtme } from './virtme.ts';
import type { Accel, Profile } from './vm.ts';

/** MiB. Enough for the suites; the whole root in RAM needs its own size on top. */
const MEMORY = { disk: 1024, initramfs: 2048 };

/** Cache entries are held for as long as the process lives: a guest may be forked at any time. */
export async function assembleGuest(kernel: Kernel, profile: Profile): Promise<Guest> {
	const tcg = await assemble(kernel, profile, 'tcg');
	if (profile === 'exact') return tcg; // instruction counts exist only in TCG, also where KVM works
	const verdict =
		(await knownAccel(tcg.qemu)) ??
		(await proveKvm(tcg.qemu, async () => {
			const { qemu } = await boot(await assemble(kernel, profile, 'kvm'), { kind: 'own' }, KVM_PATIENCE);
			await qemu.kill();
		}));
	return verdict.accel === 'tcg' ? tcg : assemble(kernel, profile, 'kvm');
}

async function assemble(kernel: Kernel, profile: Profile, accel: Accel): Promise<Guest> {
	const files = await guestFiles(kernel);
	const base = await virtmeAnswer(kernel, accel);
	return {
		kernel,
		profile,
		accel,
		qemu: await soundQemu(base[0]!),
		base,
		memoryMiB: files.root ? MEMORY.disk : MEMORY.initramfs,
		initrd: files.initrd,
		root: files.root,
		kernelArguments: [...kernelArguments(kernel), ...(profile === 'exact' ? ['random.trust_cpu=off'] : [])],
		agentPort: files.agentPort,
		content: files.content,
	};
}

/** Asked once per kernel and machine: starting virtme-ng takes longer than restoring a guest. */
async function virtmeAnswer(kernel: Kernel, accel: Accel): Promise<string[]> {
	using answer: Entry = await entry('virtme', keyOf(kernel.digest, accel, qemuOnPath()), async (dir) => {
		const root = join(dir, 'root');
		await mkdir(root);
		const words = await askVirtme(kernel, accel, root);
		await writeFile(join(dir, FILE), JSON.stringify(words.map((word) => (word === kernel.vmlinuz ? IMAGE : word))));
	});
	const words = JSON.parse(await readFile(join(answer.dir, FILE), 'utf8')) as string[];
	return words.map((word) => (word === IMAGE ? kernel.vmlinuz : word));
}

/** What virtme-ng finds: the first QEMU on the PATH, and where it lies in full. */
function qemuOnPath(): string | undefined {
	const candidates = (process.env.PATH ?? '').split(':').map((folder) => join(folder, 'qemu-system-x86_64'));
	return candidates.find((path) => existsSync(path));
}

const FILE = 'command.json';
/** Stands for the kernel's image: a cache may be moved, and two trees may hold the same kernel. */
const IMAGE = '@vmlinuz';
