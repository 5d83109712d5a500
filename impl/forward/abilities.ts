/** What a way of forwarding needs of the kernel and cannot be told from what loads: the running kernel is asked. */
import { BpfObject } from '../libbpf/object.ts';
import { runOnce } from '../libbpf/run.ts';
import { bpfObjectPath } from '../objects.ts';

const TC_ACT_REDIRECT = 7;

/** bpf_redirect_peer with BPF_F_EGRESS, since 7.3: earlier kernels load it, and drop every packet. */
export function hasPeerEgress(): boolean {
	using object = BpfObject.open(bpfObjectPath('probe')).loadOnly(['peer_egress']).load();
	return runOnce(object.programFd('peer_egress'), 'probe: peer_egress') === TC_ACT_REDIRECT;
}
