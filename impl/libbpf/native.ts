/**
 * libbpf.so.1 (≥ 1.4) and the few calls of the C library that it wants beside it, as koffi sees them. Pointers are bigints, null
 * where C has NULL; numbers below zero are `-errno`.
 */
import { getSystemErrorName } from 'node:util';
import koffi, { type LibraryHandle } from 'koffi';
import { DatapathError } from '../errors.ts';
import { quoteLog } from './log.ts';

function load(): LibraryHandle {
	try {
		return koffi.load('libbpf.so.1');
	} catch (cause) {
		throw new DatapathError('libbpf.so.1 cannot be loaded', { lacking: true, hint: 'apt-get install libbpf1', cause });
	}
}

const lib = load();
const libc = koffi.load('libc.so.6');

koffi.proto('int libbpf_print(int level, const char *format, void *arguments)');

const testRun = koffi.struct('bpf_test_run_opts', {
	sz: 'size_t',
	data_in: 'const void *',
	data_out: 'void *',
	data_size_in: 'uint32_t',
	data_size_out: 'uint32_t',
	ctx_in: 'const void *',
	ctx_out: 'void *',
	ctx_size_in: 'uint32_t',
	ctx_size_out: 'uint32_t',
	retval: 'uint32_t',
	repeat: 'int',
	duration: 'uint32_t',
	flags: 'uint32_t',
	cpu: 'uint32_t',
	batch_size: 'uint32_t',
});

const libbpf_set_print = lib.func('void *libbpf_set_print(libbpf_print *print)');
const vsnprintf = libc.func('int vsnprintf(_Out_ uint8_t *to, size_t size, const char *format, void *arguments)');

export const native = {
	bpf_object__open_file: lib.func('void *bpf_object__open_file(const char *path, const void *opts)'),
	bpf_object__load: lib.func('int bpf_object__load(void *object)'),
	bpf_object__close: lib.func('void bpf_object__close(void *object)'),
	bpf_object__next_program: lib.func('void *bpf_object__next_program(void *object, void *program)'),
	bpf_object__find_map_by_name: lib.func('void *bpf_object__find_map_by_name(void *object, const char *name)'),
	bpf_program__name: lib.func('const char *bpf_program__name(void *program)'),
	bpf_program__set_autoload: lib.func('int bpf_program__set_autoload(void *program, bool autoload)'),
	bpf_program__set_attach_target: lib.func(
		'int bpf_program__set_attach_target(void *program, int fd, const char *function)',
	),
	bpf_program__set_log_buf: lib.func('int bpf_program__set_log_buf(void *program, void *log, size_t size)'),
	bpf_program__set_log_level: lib.func('int bpf_program__set_log_level(void *program, uint32_t level)'),
	bpf_program__fd: lib.func('int bpf_program__fd(void *program)'),
	bpf_program__attach_kprobe: lib.func(
		'void *bpf_program__attach_kprobe(void *program, bool retprobe, const char *function)',
	),
	bpf_map__fd: lib.func('int bpf_map__fd(void *map)'),
	bpf_map__reuse_fd: lib.func('int bpf_map__reuse_fd(void *map, int fd)'),
	bpf_map__set_max_entries: lib.func('int bpf_map__set_max_entries(void *map, uint32_t entries)'),
	bpf_map__set_initial_value: lib.func('int bpf_map__set_initial_value(void *map, const void *data, size_t size)'),
	bpf_map_update_elem: lib.func('int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)'),
	bpf_map_lookup_elem: lib.func('int bpf_map_lookup_elem(int fd, const void *key, void *value)'),
	bpf_map_delete_elem: lib.func('int bpf_map_delete_elem(int fd, const void *key)'),
	bpf_map_get_next_key: lib.func('int bpf_map_get_next_key(int fd, const void *key, void *next)'),
	bpf_link_create: lib.func('int bpf_link_create(int program, int target, int type, const void *opts)'),
	bpf_link_update: lib.func('int bpf_link_update(int link, int program, const void *opts)'),
	bpf_link_detach: lib.func('int bpf_link_detach(int fd)'),
	bpf_link__destroy: lib.func('int bpf_link__destroy(void *link)'),
	bpf_prog_query: lib.func(
		'int bpf_prog_query(int target, int type, uint32_t flags, _Out_ uint32_t *attachFlags, void *ids, _Inout_ uint32_t *count)',
	),
	bpf_prog_query_opts: lib.func('int bpf_prog_query_opts(int target, int type, void *opts)'),
	sizeofTestRun: koffi.sizeof(testRun),
	bpf_prog_test_run_opts: lib.func('int bpf_prog_test_run_opts(int program, _Inout_ bpf_test_run_opts *options)'),
	bpf_raw_tracepoint_open: lib.func('int bpf_raw_tracepoint_open(const char *name, int program)'),
	bpf_tc_hook_create: lib.func('int bpf_tc_hook_create(void *hook)'),
	bpf_tc_attach: lib.func('int bpf_tc_attach(const void *hook, void *opts)'),
	bpf_tc_query: lib.func('int bpf_tc_query(const void *hook, void *opts)'),
	bpf_tc_hook_destroy: lib.func('int bpf_tc_hook_destroy(void *hook)'),
	bpf_tc_detach: lib.func('int bpf_tc_detach(const void *hook, const void *opts)'),
	bpf_obj_pin: lib.func('int bpf_obj_pin(int fd, const char *path)'),
	bpf_obj_get: lib.func('int bpf_obj_get(const char *path)'),
	bpf_prog_get_next_id: lib.func('int bpf_prog_get_next_id(uint32_t after, _Out_ uint32_t *id)'),
	bpf_link_get_next_id: lib.func('int bpf_link_get_next_id(uint32_t after, _Out_ uint32_t *id)'),
	bpf_prog_get_fd_by_id: lib.func('int bpf_prog_get_fd_by_id(uint32_t id)'),
	bpf_link_get_fd_by_id: lib.func('int bpf_link_get_fd_by_id(uint32_t id)'),
	bpf_obj_get_info_by_fd: lib.func('int bpf_obj_get_info_by_fd(int fd, void *info, _Inout_ uint32_t *size)'),
	btf__load_vmlinux_btf: lib.func('void *btf__load_vmlinux_btf()'),
	btf__find_by_name_kind: lib.func('int btf__find_by_name_kind(void *btf, const char *name, uint32_t kind)'),
	btf__load_from_kernel_by_id: lib.func('void *btf__load_from_kernel_by_id(uint32_t id)'),
	btf__type_by_id: lib.func('void *btf__type_by_id(void *btf, uint32_t id)'),
	btf__name_by_offset: lib.func('const char *btf__name_by_offset(void *btf, uint32_t offset)'),
	btf__free: lib.func('void btf__free(void *btf)'),
	mmap: libc.func('void *mmap(void *address, size_t size, int protection, int flags, int fd, int64_t offset)'),
	munmap: libc.func('int munmap(void *address, size_t size)'),
	dup: libc.func('int dup(int fd)'),
	socket: libc.func('int socket(int family, int type, int protocol)'),
	send: libc.func('int64_t send(int fd, const void *data, size_t size, int flags)'),
	getsockopt: libc.func('int getsockopt(int fd, int level, int option, void *value, _Inout_ uint32_t *size)'),
	recv: libc.func('int64_t recv(int fd, void *data, size_t size, int flags)'),
	ioctl: libc.func('int ioctl(int fd, unsigned long request, void *argument)'),
	flock: libc.func('int flock(int fd, int operation)'),
	setns: libc.func('int setns(int fd, int type)'),
	if_nametoindex: libc.func('unsigned int if_nametoindex(const char *name)'),
	if_indextoname: libc.func('const char *if_indextoname(unsigned int index, _Out_ void *name)'),
	inet_pton: libc.func('int inet_pton(int family, const char *text, _Out_ void *bytes)'),
};

/** Warnings and information; debug is thousands of lines for each object. */
const LIBBPF_DEBUG = 2;
const line = Buffer.alloc(64 * 1024);

// Registered for as long as the process lives: libbpf may log at any time. A verifier's log comes as one message.
libbpf_set_print(
	koffi.register((level: number, format: string, args: bigint) => {
		if (level >= LIBBPF_DEBUG) return 0;
		const length: number = vsnprintf(line, line.length, format, args);
		quoteLog.add(line.toString('utf8', 0, Math.min(length, line.length - 1)));
		return length;
	}, 'libbpf_print *'),
);

/** Throws a DatapathError with libbpf's log where `status` is an error. Answers it otherwise. */
export function check(status: number, what: string, hint?: string): number {
	if (status >= 0) return status;
	throw new DatapathError(`${what}: ${errnoName(-status)}`, { hint, log: quoteLog.take() });
}

/** The same for a call of the C library, which answers -1: errno is in C's variable of that name. */
export function checkCall(status: number, what: string): number {
	if (status >= 0) return status;
	throw new DatapathError(`${what}: ${lastErrno()}`);
}

/** The same for what answers a pointer: errno is in C's variable of that name. */
export function checkPointer(pointer: bigint | null, what: string, hint?: string): bigint {
	if (pointer) return pointer;
	throw new DatapathError(`${what}: ${errnoName(koffi.errno())}`, { hint, log: quoteLog.take() });
}

/** Of the last call to the C library that failed. */
export function lastErrno(): string {
	return errnoName(koffi.errno());
}

/** `ENOENT` */
export function errnoName(errno: number): string {
	return errno > 0 && errno < 4096 ? getSystemErrorName(-errno) : `error ${errno}`;
}
