import { describe, expect, test } from 'vitest';
import { moduleClosure, parseModules } from './modules.ts';

const index = parseModules(
	[
		'kernel/fs/erofs/erofs.ko.xz: kernel/lib/libcrc32c.ko.xz',
		'kernel/lib/libcrc32c.ko.xz:',
		'kernel/net/8021q/8021q.ko.xz: kernel/net/802/garp.ko.xz kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz',
		'kernel/net/802/garp.ko.xz: kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz',
		'kernel/net/802/stp.ko.xz: kernel/net/llc/llc.ko.xz',
		'kernel/net/llc/llc.ko.xz:',
		'kernel/drivers/net/net-failover.ko.zst:',
		'',
	].join('\n'),
	'kernel/drivers/virtio/virtio_pci.ko\nkernel/crypto/crc32c-generic.ko\n',
);

describe('the closure of a list of modules', () => {
	test('puts what is needed before what needs it, each once', () => {
		expect(moduleClosure(index, ['8021q', 'erofs', 'libcrc32c'])).toEqual({
			files: [
				'kernel/net/llc/llc.ko.xz',
				'kernel/net/802/stp.ko.xz',
				'kernel/net/802/garp.ko.xz',
				'kernel/net/8021q/8021q.ko.xz',
				'kernel/lib/libcrc32c.ko.xz',
				'kernel/fs/erofs/erofs.ko.xz',
			],
			missing: [],
		});
	});

	test('asks for nothing that is built in', () => {
		expect(moduleClosure(index, ['virtio_pci', 'crc32c_generic'])).toEqual({ files: [], missing: [] });
	});

	test('takes hyphens for underscores, as the kernel does', () => {
		expect(moduleClosure(index, ['net_failover']).files).toEqual(['kernel/drivers/net/net-failover.ko.zst']);
	});

	test('names what is neither there nor built in', () => {
		expect(moduleClosure(index, ['veth', 'erofs', 'netkit']).missing).toEqual(['veth', 'netkit']);
	});
});
