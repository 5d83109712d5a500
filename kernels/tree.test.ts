import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NEEDED } from './kconfig.ts';
import { getKernel } from './pull.ts';
import { imageRelease, kernelFromFiles, kernelFromTree } from './tree.ts';

let scratch: string;
beforeEach(() => {
	scratch = realpathSync(mkdtempSync(join(tmpdir(), 'pathproof-tree-')));
	vi.stubEnv('PATHPROOF_CACHE', join(scratch, 'cache'));
});
afterEach(() => {
	vi.unstubAllEnvs();
	rmSync(scratch, { recursive: true });
});

function write(path: string, data: string | Buffer): string {
	const file = join(scratch, path);
	mkdirSync(dirname(file), { recursive: true });
	writeFileSync(file, data);
	return file;
}

/** The first sectors of a bzImage, as Documentation/arch/x86/boot.rst lays them out. */
function bzImage(release: string): Buffer {
	const image = Buffer.alloc(0x4000);
	image.write('HdrS', 0x202);
	image.writeUInt16LE(0x3000, 0x20e);
	image.write(`${release} (user@host) #1 SMP\0`, 0x3200);
	return image;
}

/** What `make` leaves: an image, a release, the order of its modules. */
function tree(release = '6.18.0-rc3+', modules = ['drivers/net/veth.o']): string {
	write('linux/arch/x86/boot/bzImage', bzImage(release));
	write('linux/include/config/kernel.release', `${release}\n`);
	write('linux/modules.order', modules.map((name) => `${name}\n`).join(''));
	write('linux/modules.builtin', 'kernel/drivers/net/netkit.ko\n');
	for (const name of modules) write(`linux/${name.replace(/\.o$/, '.ko')}`, 'no ELF');
	return join(scratch, 'linux');
}

/** The configuration of a kernel that boots, and no more. */
const BOOTS = NEEDED.map(([option]) => `${option}=y\n`).join('');

test('a built tree is a kernel with modules where kmod looks for them', async () => {
	const path = tree();
	const kernel = await kernelFromTree(path);
	expect(kernel).toMatchObject({
		id: '6.18.0-rc3+-linux',
		series: '6.18',
		version: '6.18.0-rc3',
		release: '6.18.0-rc3+',
		flavour: 'custom',
		tier: 'full',
		vmlinuz: join(path, 'arch/x86/boot/bzImage'),
		kdir: path,
		selector: path,
	});
	const modules = join(kernel.modulesRoot!, 'lib/modules/6.18.0-rc3+');
	expect(realpathSync(join(modules, 'kernel/drivers/net/veth.ko'))).toBe(join(path, 'drivers/net/veth.ko'));
	expect(existsSync(join(modules, 'modules.dep'))).toBe(true);
	expect(readdirSync(path)).not.toContain('.virtme_mods');
});

test('the same tree is the same kernel, a tree built again is another one', async () => {
	const [first, again] = [await kernelFromTree(tree()), await getKernel(`${join(scratch, 'linux')}/`)];
	expect(again.digest).toBe(first.digest);
	write('linux/drivers/net/veth.ko', 'another one');
	expect((await kernelFromTree(tree('6.18.0-rc3+', ['drivers/net/veth.o', 'net/ipvlan.o']))).digest).not.toBe(
		first.digest,
	);
});

test('a tree without modules is image-only, unless veth is built in', async () => {
	const path = tree('6.18.1', []);
	expect(await kernelFromTree(path)).toMatchObject({ tier: 'image', modulesRoot: null });
	write('linux/.config', `${BOOTS}CONFIG_VETH=m\n`);
	expect(await kernelFromTree(path)).toMatchObject({ tier: 'image', modulesRoot: null });
	write('linux/.config', `${BOOTS}CONFIG_VETH=y\n`);
	expect(await kernelFromTree(path)).toMatchObject({ tier: 'full', modulesRoot: null, config: join(path, '.config') });
});

test('a tree that cannot become a guest is refused by the names of what it lacks', async () => {
	const path = tree();
	write('linux/.config', BOOTS.replace('CONFIG_TMPFS=y', '# CONFIG_TMPFS is not set').replace('CONFIG_FUTEX=y\n', ''));
	const failed = kernelFromTree(path);
	await expect(failed).rejects.toThrow(
		/cannot do without CONFIG_TMPFS \(.*\), CONFIG_FUTEX \(.*\): not set in .*linux\/\.config.*\[usage\]\ntry: .* -e TMPFS -e FUTEX/,
	);
	await expect(failed).rejects.toMatchObject({ stage: 'usage', exitCode: 2 });
});

test.each([
	['a directory that is none', 'empty/x', /empty is no built kernel tree: looked for .*bzImage and .*kernel\.release/],
	['a tree that was not built', 'empty/Kconfig', /try: make -C/],
])('%s: says what was looked for', async (_what, file, said) => {
	write(file, '');
	const failed = kernelFromTree(join(scratch, 'empty'));
	await expect(failed).rejects.toThrow(said);
	await expect(failed).rejects.toMatchObject({ stage: 'usage', exitCode: 2 });
});

test('a tree whose image is older than its configuration is refused', async () => {
	tree('6.18.1');
	write('linux/include/config/kernel.release', '6.18.2\n');
	await expect(kernelFromTree(join(scratch, 'linux'))).rejects.toThrow(
		/half built: its image is 6\.18\.1, its tree 6\.18\.2/,
	);
});

test("any distribution's image and modules are a kernel", async () => {
	const image = write('boot/vmlinuz-6.9.1', bzImage('6.9.1-arch1'));
	write('usr/lib/modules/6.9.1-arch1/kernel/veth.ko', 'no ELF');
	write('usr/lib/modules/6.9.1-arch1/modules.dep', '');
	for (const modules of ['', 'usr/lib/modules', 'usr/lib/modules/6.9.1-arch1']) {
		const kernel = await kernelFromFiles(image, join(scratch, modules));
		expect(kernel).toMatchObject({
			release: '6.9.1-arch1',
			version: '6.9.1',
			tier: 'full',
			id: '6.9.1-arch1-vmlinuz-6.9.1',
		});
		expect(existsSync(join(kernel.modulesRoot!, 'lib/modules/6.9.1-arch1/kernel/veth.ko'))).toBe(true);
	}
	expect(await getKernel(`${image}:`)).toMatchObject({ tier: 'image', modulesRoot: null, selector: `${image}:` });
});

test('an image that is none, and modules of another release, say what was looked for', async () => {
	const image = write('boot/vmlinuz', bzImage('6.9.1'));
	expect(imageRelease(write('text', 'hello'))).toBeNull();
	await expect(kernelFromFiles(join(scratch, 'text'), '')).rejects.toThrow(/text is no kernel image.*\[usage\]/);
	await expect(kernelFromFiles(join(scratch, 'nothing'), '')).rejects.toThrow(/nothing is no kernel image/);
	await expect(kernelFromFiles(image, scratch)).rejects.toThrow(
		/no modules of 6\.9\.1: looked in .*lib\/modules\/6\.9\.1/,
	);
});
