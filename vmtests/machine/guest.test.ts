import { expect, test } from 'pathproof';
import { findSplat } from '../../kernels/console.ts';

test('a guest runs the very kernel its project is named after', async ({ vm, kernel }) => {
	expect((await vm.exec(['uname', '-r'])).stdout.trim()).toBe(kernel.release);
	expect(`${await vm.readFile('/proc/sys/kernel/osrelease')}`.trim()).toBe(kernel.release);
});

test('its clock is right when it wakes up, however long ago its template was saved', async ({ vm }) => {
	const before = Date.now();
	const guest = Number((await vm.exec(['date', '+%s%3N'])).stdout);
	expect(guest).toBeGreaterThan(before - 3_000);
	expect(guest).toBeLessThan(Date.now() + 3_000);
});

test('its kernel has complained of nothing since it booted', async ({ vm }) => {
	const log = await vm.dmesg();
	expect(log[0]).toContain('Linux version');
	expect(findSplat(await vm.console())).toBeNull();
	expect(log.filter((line) => /\b(?:BUG|Oops|WARNING|Call Trace)\b/.test(line))).toEqual([]);
});

test('guests that run side by side know nothing of each other', async ({ forks, kernel }) => {
	const names = ['one', 'two', 'three'];
	const vms = await Promise.all(names.map(() => forks.take({ kernel: kernel.request })));
	await Promise.all(vms.map((vm, index) => vm.writeFile('/proc/sys/kernel/hostname', names[index]!)));
	const heard = await Promise.all(vms.map(async (vm) => (await vm.exec(['hostname'])).stdout.trim()));
	expect(heard).toEqual(names);
});

test('a program that fails in the guest says what it said there, and with which status', async ({ vm, kernel }) => {
	const failing = vm.exec(['sh', '-c', 'echo asked; echo refused >&2; exit 3']);
	await expect(failing).rejects.toMatchObject({ name: 'PathproofError', stage: 'call', kernel: kernel.id });
	await expect(failing).rejects.toThrow(/exited with 3: refused\nasked/);
});

test('a program that does not end is ended, and the guest goes on', async ({ vm }) => {
	await expect(vm.exec(['sleep', '60'], { timeout: 300 })).rejects.toThrow('sleep 60 did not end within 300 ms');
	expect((await vm.exec(['pidof', 'sleep'], { reject: false })).stdout).toBe('');
});

test('a program goes on while the test does something else', async ({ vm }) => {
	await using listener = await vm.spawn(['socat', '-u', '-dd', 'TCP-LISTEN:7', 'STDOUT']);
	await listener.waitFor(/listening on/);
	await vm.exec(['socat', '-u', '-', 'TCP:127.0.0.1:7'], { input: 'across loopback\n' });
	expect((await listener.ended).stdout).toBe('across loopback\n');
});
