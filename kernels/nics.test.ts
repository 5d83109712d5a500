import { expect, test } from 'vitest';
import { parseModules } from './modules.ts';
import { mayHaveNics } from './nics.ts';

test('a kernel whose modules are gone can have no NICs', () => {
	expect(mayHaveNics(null)).toBe(false);
});

test('a kernel has them by a module, or built in', () => {
	expect(mayHaveNics(parseModules('kernel/drivers/net/virtio_net.ko.xz:\n', 'kernel/fs/ext4/ext4.ko\n'))).toBe(true);
	expect(mayHaveNics(parseModules('', 'kernel/drivers/net/virtio_net.ko\n'))).toBe(true);
	expect(mayHaveNics(parseModules('', 'kernel/fs/ext4/ext4.ko\n'))).toBe(false);
});

test('where nobody says what is built in, it is booted to see', () => {
	expect(mayHaveNics(parseModules('kernel/drivers/net/veth.ko.xz:\n', ''))).toBe(true);
});
