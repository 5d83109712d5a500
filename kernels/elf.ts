/** What is read off a program's ELF header, elf(5). */

/** True for an ELF64 program without PT_INTERP: it asks for no dynamic loader, and so for no shared library. */
export function isStatic(elf: Buffer): boolean {
	const PT_INTERP = 3;
	const [offset, size, count] = [Number(elf.readBigUInt64LE(0x20)), elf.readUInt16LE(0x36), elf.readUInt16LE(0x38)];
	return !Array.from({ length: count }, (_, i) => elf.readUInt32LE(offset + i * size)).includes(PT_INTERP);
}
