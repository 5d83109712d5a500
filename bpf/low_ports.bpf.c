/*
 * A container's programs may bind ports below 1024 without CAP_NET_BIND_SERVICE. Beside the programs of
 * identity.bpf.c on the same cgroup, whatever those say of the address: an answer's bit 1 is kept, whosever
 * it is.
 *
 * In an object of its own, since kernels before 5.12 (772412176fb9) do not load a program that answers this.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ALLOW 1
/* linux/bpf.h has it for the kernel's own use: BPF_RET_BIND_NO_CAP_NET_BIND_SERVICE */
#define WITHOUT_CAPABILITY 2

SEC("cgroup/bind4")
int low_port4(struct bpf_sock_addr *ctx)
{
	return ALLOW | WITHOUT_CAPABILITY;
}

SEC("cgroup/bind6")
int low_port6(struct bpf_sock_addr *ctx)
{
	return ALLOW | WITHOUT_CAPABILITY;
}

char LICENSE[] SEC("license") = "GPL";
