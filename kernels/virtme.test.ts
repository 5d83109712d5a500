import { describe, expect, test } from 'vitest';
import { adopt, virtmeArguments } from './virtme.ts';

describe('what virtme-ng says of a kernel', () => {
	test('an image is asked about as --kimg, a build tree as --kdir', () => {
		expect(virtmeArguments({ vmlinuz: 'boot/vmlinuz' }, 'tcg', 'empty').slice(0, 2)).toEqual([
			'--kimg',
			'boot/vmlinuz',
		]);
		expect(virtmeArguments({ vmlinuz: 'bzImage', kdir: 'linux' }, 'tcg', 'empty').slice(0, 2)).toEqual([
			'--kdir',
			'linux',
		]);
	});

	test('KVM is asked for only when it is wanted', () => {
		expect(virtmeArguments({ vmlinuz: 'vmlinuz' }, 'tcg', 'empty')).toContain('--disable-kvm');
		expect(virtmeArguments({ vmlinuz: 'vmlinuz' }, 'kvm', 'empty')).not.toContain('--disable-kvm');
	});

	test('is taken over, less what a snapshot cannot hold', () => {
		// virtme-ng 1.35's own words
		const answer =
			'/usr/bin/qemu-system-x86_64 -m 1G -fsdev local,id=virtfs3,path=empty,security_model=none -device virtio-9p-pci,fsdev=virtfs3,mount_tag=/dev/root -machine accel=kvm:tcg -device i6300esb,id=watchdog0 -cpu host -parallel none -net none -echr 1 -chardev file,path=/proc/self/fd/2,id=dmesg -device virtio-serial-pci -device virtconsole,chardev=dmesg -chardev stdio,id=console,signal=off,mux=off -serial chardev:console -vga none -display none -smp 2 -kernel vmlinuz -append quiet';
		expect(adopt(answer.split(' '))).toEqual(
			'/usr/bin/qemu-system-x86_64 -cpu host -parallel none -net none -echr 1 -vga none -display none -kernel vmlinuz'.split(
				' ',
			),
		);
	});
});
