/**
 * What a kernel can do, by name. A test skips only by naming a feature that its kernel lacks, so the names here are claims: each row
 * says how it is asked and which release brought it; `features.json` says which locked kernel has it, from real boots.
 *
 * Kernels are asked, never compared by version: Debian backports, and builds some things as modules or not at all.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSet } from './kconfig.ts';
import type { Kernel } from './kernel.ts';
import { compareUpstream, seriesOf } from './versions.ts';

export interface Feature {
	/** what a kernel with it can do */
	what: string;
	/** how the running kernel is asked */
	probed: string;
	/** the upstream series whose first release has it */
	since: string;
	/** the upstream series whose first release has it no more */
	until?: string;
	/** the commit that brought it, where a public source names it; without, `since` is from Debian's kernels alone */
	commit?: string;
	/** the series from which on Debian's cloud kernels are built with it, where that is later */
	debian?: string;
	/** what the `.config` of a kernel of one's own must set */
	config?: string;
	/** Debian builds it as a module: kernels whose modules package is gone lack it */
	module?: true;
}

/** Commits as in the kernel's own log, https://git.kernel.org/torvalds/c/COMMIT. */
const TABLE = {
	modules: {
		what: 'has modules',
		probed: 'modules.dep, which lists those the guest brought',
		since: '2.6.12',
		config: 'CONFIG_MODULES',
		module: true,
	},
	veth: {
		what: 'veth pairs',
		probed: 'ip link add',
		since: '2.6.24',
		commit: 'e314dbdc1c0d',
		config: 'CONFIG_VETH',
		module: true,
	},
	netkit: {
		what: 'netkit pairs',
		probed: 'ip link add',
		since: '6.7',
		commit: '35dfaad7188c',
		debian: '6.10',
		config: 'CONFIG_NETKIT',
	},
	'netkit-scrub': {
		what: 'netkit pairs that keep mark and priority',
		probed: 'ip link add … scrub none',
		since: '6.13',
		commit: '83134ef46093',
		config: 'CONFIG_NETKIT',
	},
	ipvlan: {
		what: 'ipvlan devices',
		probed: 'ip link add, on whatever device there is',
		since: '3.19',
		commit: '2ad7bf363841',
		config: 'CONFIG_IPVLAN',
		module: true,
	},
	macvlan: { what: 'macvlan devices', probed: 'ip link add', since: '2.6.23', config: 'CONFIG_MACVLAN', module: true },
	dummy: { what: 'dummy devices', probed: 'ip link add', since: '2.6.12', config: 'CONFIG_DUMMY', module: true },
	bridge: { what: 'bridges', probed: 'ip link add', since: '2.6.12', config: 'CONFIG_BRIDGE', module: true },
	vxlan: { what: 'VXLAN tunnels', probed: 'ip link add', since: '3.7', config: 'CONFIG_VXLAN', module: true },
	vlan: { what: 'VLAN devices', probed: 'ip link add', since: '2.6.12', config: 'CONFIG_VLAN_8021Q', module: true },
	'virtio-net': {
		what: 'NICs of a wire outside the guest: real checksums, segmentation, VLAN tags and native XDP',
		probed: "modprobe, and the driver's place on the virtio bus",
		since: '2.6.24',
		config: 'CONFIG_VIRTIO_NET',
		module: true,
	},
	clsact: {
		what: 'clsact, the hook of tc programs before tcx',
		probed: 'tc qdisc add dev lo clsact',
		since: '4.5',
		commit: '1f211a1b929c',
		config: 'CONFIG_NET_SCH_INGRESS',
		module: true,
	},
	netem: {
		what: 'loss, delay and reordering',
		probed: 'tc qdisc add',
		since: '2.6.12',
		config: 'CONFIG_NET_SCH_NETEM',
		module: true,
	},
	fq: {
		what: 'the fq queue, which paces',
		probed: 'tc qdisc add',
		since: '3.12',
		config: 'CONFIG_NET_SCH_FQ',
		module: true,
	},
	nftables: {
		what: 'nftables in the inet family',
		probed: 'nft add table',
		since: '3.14',
		config: 'CONFIG_NF_TABLES_INET',
		module: true,
	},
	tcx: {
		what: 'BPF links at tc ingress and egress',
		probed: 'a link on lo',
		since: '6.6',
		commit: 'e420bed02507',
		config: 'CONFIG_NET_XGRESS',
	},
	'netkit-link': {
		what: 'BPF links on netkit',
		probed: 'a link on a netkit primary',
		since: '6.7',
		commit: '35dfaad7188c',
		debian: '6.10',
		config: 'CONFIG_NETKIT',
	},
	'netkit-xdp-default': {
		what: 'XDP on netkit without asking for the generic mode',
		probed: 'an XDP link with no flags on a netkit primary',
		since: '6.7',
		until: '7.1',
		debian: '6.10',
		config: 'CONFIG_NETKIT',
	},
	'xdp-link': { what: 'XDP links', probed: 'a generic link on lo', since: '5.9', commit: 'aa8d3a716b59' },
	'redirect-neigh': {
		what: 'bpf_redirect_neigh',
		probed: 'the helper, in a classifier',
		since: '5.10',
		commit: 'b4ab31414970',
	},
	'redirect-peer': {
		what: 'bpf_redirect_peer',
		probed: 'the helper, in a classifier',
		since: '5.10',
		commit: '9aa1206e8f48',
	},
	'redirect-peer-egress': {
		what: "bpf_redirect_peer with BPF_F_EGRESS: out of the peer's device",
		probed: 'the verdict of a classifier that was run once',
		since: '7.3',
	},
	'netns-cookie-tc': {
		what: 'bpf_get_netns_cookie in classifiers',
		probed: 'the helper, in a classifier',
		since: '6.15',
	},
	'cgroup-mprog': {
		what: 'BPF_F_BEFORE and BPF_F_AFTER on cgroups',
		probed: 'an attachment to a cgroup',
		since: '6.17',
	},
	'cgroup-preorder': {
		what: 'BPF_F_PREORDER on cgroups',
		probed: 'an attachment to a cgroup',
		since: '6.15',
		commit: '4b82b181a26c',
	},
	'cgroup-low-ports': {
		what: 'cgroup programs that let ports below 1024 be bound without the capability',
		probed: 'a program at bind that answers so',
		since: '5.12',
		commit: '772412176fb9',
	},
	'cgroup-unix': {
		what: 'cgroup hooks of unix sockets',
		probed: 'a program for connect',
		since: '6.7',
		commit: '859051dd165e',
	},
	'drop-reasons': {
		what: 'a reason with each dropped packet',
		probed: 'the format of the tracepoint skb:kfree_skb',
		since: '5.17',
		commit: 'c504e5c2f964',
	},
	'module-btf': {
		what: "BTF of modules, and with it fentry on veth's functions",
		probed: '/sys/kernel/btf',
		since: '5.11',
		commit: '36e68442d1af',
		config: 'CONFIG_DEBUG_INFO_BTF_MODULES',
		module: true,
	},
	btf: { what: 'BTF of the kernel', probed: '/sys/kernel/btf/vmlinux', since: '5.4', config: 'CONFIG_DEBUG_INFO_BTF' },
	fentry: {
		what: 'fentry programs',
		probed: 'a link on ip6_rcv_core',
		since: '5.5',
		commit: 'fec56f5890d9',
		config: 'CONFIG_DEBUG_INFO_BTF',
	},
	'kprobe-multi': {
		what: 'one link to kprobes on many functions',
		probed: 'a link on ip6_rcv_core',
		since: '5.18',
		commit: '0dcac2725406',
		debian: '6.12',
		config: 'CONFIG_FPROBE',
	},
	'syscall-program': {
		what: 'programs that call bpf(2)',
		probed: 'a program of that type',
		since: '5.14',
		commit: '79a7f8bdb159',
	},
	ringbuf: { what: 'BPF ring buffers', probed: 'a map of that type', since: '5.8', commit: '457f44363a88' },
	mptcp: {
		what: 'MPTCP sockets',
		probed: 'socket(2)',
		since: '5.6',
		commit: 'f870fa0b5768',
		debian: '6.1',
		config: 'CONFIG_MPTCP',
	},
	sctp: {
		what: 'SCTP sockets',
		probed: 'socket(2)',
		since: '2.6.12',
		config: 'CONFIG_IP_SCTP',
		module: true,
	},
	'io-uring': {
		what: 'connect(2) by a ring',
		probed: 'IORING_REGISTER_PROBE',
		since: '5.5',
		commit: 'f8e85cf255ad',
		config: 'CONFIG_IO_URING',
	},
	'io-uring-socket': {
		what: 'socket(2) by a ring',
		probed: 'IORING_REGISTER_PROBE',
		since: '5.19',
		commit: '1374e08e2d44',
		config: 'CONFIG_IO_URING',
	},
	'io-uring-bind': {
		what: 'bind(2) by a ring',
		probed: 'IORING_REGISTER_PROBE',
		since: '6.11',
		commit: '7481fd93fa0a',
		config: 'CONFIG_IO_URING',
	},
	tls: {
		what: 'kernel TLS',
		probed: 'setsockopt(2) of the ULP',
		since: '4.13',
		commit: '3c4d7559159b',
		debian: '6.1',
		config: 'CONFIG_TLS',
		module: true,
	},
	'icmp-send': {
		what: 'bpf_icmp_send',
		probed: "the kfunc in the kernel's BTF",
		since: '7.3',
		config: 'CONFIG_DEBUG_INFO_BTF',
	},
	'bpf-ksock': {
		what: "BPF programs' own UDP sockets",
		probed: "the kfunc in the kernel's BTF",
		since: '7.3',
		config: 'CONFIG_DEBUG_INFO_BTF',
	},
} satisfies Record<string, Feature>;

export type FeatureName = keyof typeof TABLE;
export const FEATURES: Record<FeatureName, Feature> = TABLE;
export const FEATURE_NAMES = Object.keys(TABLE) as FeatureName[];

/** `features.json` */
export interface FeatureRecord {
	schema: 1;
	/** where each came from, for readers of the file */
	features: Record<string, { since: string; until?: string; commit?: string }>;
	/** by id of the kernel */
	kernels: Record<string, { has: string[]; lacks: Record<string, string> }>;
}

export const FEATURES_PATH = join(import.meta.dirname, 'features.json');

export function readFeatures(path: string = FEATURES_PATH): FeatureRecord {
	return JSON.parse(readFileSync(path, 'utf8'));
}

export interface Claim {
	claim: 'has' | 'lacks';
	/** who says so, for the reader of a skip or a failure */
	because: string;
}

type Claimed = Pick<Kernel, 'id' | 'series' | 'tier' | 'flavour' | 'config'>;

/**
 * What is claimed of a kernel: for a locked one by `features.json`, for one's own by its `.config`, for any other by the
 * upstream release that brought the feature. Pure but for reading those files.
 */
export function featureClaim(kernel: Claimed, name: FeatureName, record: FeatureRecord = readFeatures()): Claim {
	const probed = record.kernels[kernel.id];
	if (probed?.has.includes(name))
		return { claim: 'has', because: `kernels/features.json: ${kernel.id} was seen to have it` };
	const said = probed?.lacks[name];
	if (said !== undefined)
		return { claim: 'lacks', because: `kernels/features.json: asked for it, ${kernel.id} said ${said}` };
	const late = compareUpstream(kernel.series, FEATURES[name].since) < 0;
	return upstreamClaim(kernel, FEATURES[name], late ? backport(kernel, name, record) : undefined);
}

/** The recorded kernel of the same series, no newer than this one, that has it: stable releases get features from later series. */
function backport({ id, series }: Claimed, name: FeatureName, { kernels }: FeatureRecord): string | undefined {
	const version = (of: string) => /^[\d.]+/.exec(of)?.[0] ?? of;
	return Object.keys(kernels).find(
		(known) =>
			kernels[known]!.has.includes(name) &&
			seriesOf(version(known)) === series &&
			compareUpstream(version(known), version(id)) <= 0,
	);
}

function upstreamClaim({ series, tier, flavour, config }: Claimed, feature: Feature, backport?: string): Claim {
	const cite = feature.commit ? ` (${feature.commit})` : '';
	if (compareUpstream(series, feature.since) < 0 && !backport) {
		return { claim: 'lacks', because: `it came with Linux ${feature.since}${cite}` };
	}
	if (feature.until && compareUpstream(series, feature.until) >= 0) {
		return { claim: 'lacks', because: `it went with Linux ${feature.until}` };
	}
	if (flavour !== 'custom' && feature.debian && compareUpstream(series, feature.debian) < 0) {
		return { claim: 'lacks', because: `Debian builds its kernels with it from ${feature.debian} on` };
	}
	if (flavour !== 'custom' && tier === 'image' && feature.module) {
		return { claim: 'lacks', because: 'Debian builds it as a module, and the modules of this kernel are gone' };
	}
	if (config && feature.config && !isSet(readFileSync(config, 'utf8'), feature.config)) {
		return { claim: 'lacks', because: `${feature.config} is not set in ${config}` };
	}
	const earlier = backport ? `, and kernels/features.json: ${backport} was seen to have it` : '';
	return { claim: 'has', because: `it came with Linux ${feature.since}${cite}${earlier}` };
}
