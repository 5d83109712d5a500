/** The running kernel's own types. */
import koffi from 'koffi';
import { checkPointer, native } from './native.ts';

const BTF_KIND_ENUM = 6;
/** struct btf_type { __u32 name_off, info, size; }, and behind it an array of struct btf_enum { __u32 name_off; __s32 val; } */
const TYPE_SIZE = 12;
const ENUM_SIZE = 8;

/** The enumerators by value, for each enum that the kernel has: an empty map where it has none of that name. */
export function kernelEnums<Name extends string>(names: readonly Name[]): Record<Name, Map<number, string>> {
	const btf = checkPointer(native.btf__load_vmlinux_btf(), "read the kernel's types", 'ls /sys/kernel/btf/vmlinux');
	try {
		const enums = names.map((name) => [name, enumerators(btf, name)] as const);
		return Object.fromEntries(enums) as Record<Name, Map<number, string>>;
	} finally {
		native.btf__free(btf);
	}
}

function enumerators(btf: bigint, name: string): Map<number, string> {
	const id: number = native.btf__find_by_name_kind(btf, name, BTF_KIND_ENUM);
	if (id < 0) return new Map();
	const type = checkPointer(native.btf__type_by_id(btf, id), `enum ${name}`);
	const count = new DataView(koffi.view(type, TYPE_SIZE)).getUint32(4, true) & 0xffff;
	const values = new DataView(koffi.view(type, TYPE_SIZE + count * ENUM_SIZE));
	return new Map(
		Array.from({ length: count }, (_, index) => {
			const at = TYPE_SIZE + index * ENUM_SIZE;
			return [values.getInt32(at + 4, true), native.btf__name_by_offset(btf, values.getUint32(at, true)) as string];
		}),
	);
}
