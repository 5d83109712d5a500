import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isStatic } from './elf.ts';
import { readBusybox } from './initramfs-content.ts';

test('a program that asks for shared libraries is told from one that does not', () => {
	expect(isStatic(readBusybox())).toBe(true);
	expect(isStatic(readFileSync('/bin/sh'))).toBe(false);
});
