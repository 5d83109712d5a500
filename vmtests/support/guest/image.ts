/** What a program became in this machine's own instructions. */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { getPinned } from '../../../impl/libbpf/attach.ts';
import { check, native } from '../../../impl/libbpf/native.ts';
import { explained } from './explain.ts';

/** struct bpf_prog_info { __u32 type, id; __u8 tag[8]; __u32 jited_prog_len, xlated_prog_len; __u64 jited_prog_insns; … } */
const INFO = { length: 16, image: 24, end: 232 } as const;

/** The JIT compiler's image of a pinned program. Empty where the kernel has no such compiler. */
export function jitedImage(path: string): Promise<Uint8Array> {
	return explained(() => {
		const fd = getPinned(path);
		try {
			const look = (info: Buffer) => check(native.bpf_obj_get_info_by_fd(fd, info, [info.length]), `look at ${path}`);
			const info = Buffer.alloc(INFO.end);
			look(info);
			const image = Buffer.alloc(info.readUInt32LE(INFO.length));
			const request = Buffer.alloc(INFO.end);
			request.writeUInt32LE(image.length, INFO.length);
			request.writeBigUInt64LE(koffi.address(image), INFO.image);
			look(request);
			return image;
		} finally {
			closeSync(fd);
		}
	});
}
