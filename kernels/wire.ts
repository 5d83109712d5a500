/**
 * The wire `virtio`: pairs of virtio-net NICs that QEMU joins outside the guest. A request asks for them with `nics`; in the guest both
 * ends of a wire are in the initial netns under whatever name the kernel gave them, and are known by their addresses.
 */

/** How many NICs a guest has: one wire is two of them. */
export type Nics = 2 | 4;

/** The MAC addresses of both ends, in the order of the wires: of the range for documentation (RFC 7042), with the local bit set. */
export const WIRES = [
	{ host: '02:00:5e:00:53:01', peer: '02:00:5e:00:53:02' },
	{ host: '02:00:5e:00:53:03', peer: '02:00:5e:00:53:04' },
] as const;

/** The wires of a guest with so many NICs. */
export const wiresOf = (nics: Nics) => WIRES.slice(0, nics / 2);
