/** What a kernel is to every other file: the words of the catalogue, and the files of a kernel that is here. */

export type Flavour = 'cloud' | 'generic';

/** `full`: the modules package can be had. `image`: only the image; the wire there is a netkit pair. */
export type Tier = 'full' | 'image';

/** One Debian package that a kernel is made of. */
export interface DebianPackage {
	name: string;
	/** Debian version, e.g. `6.12.117-1` */
	version: string;
	/** e.g. `trixie-security` */
	suite: string;
	/** bytes */
	size: number;
	sha256: string;
	/** path below the archive's root, e.g. `pool/main/l/…deb` */
	filename: string;
}

/** A kernel that can be had. */
export interface CatalogueEntry {
	/** upstream version, and `-generic` where the flavour is not cloud: `6.12.117`, `6.12.117-generic` */
	id: string;
	/** `6.12` */
	series: string;
	/** `6.12.117` */
	version: string;
	/** what `uname -r` says: `6.12.117+deb13-cloud-amd64` */
	release: string;
	flavour: Flavour;
	tier: Tier;
	suite: string;
	/** the packages to fetch: one up to 6.18, binary and modules from 6.19 */
	packages: DebianPackage[];
}

/** A kernel that is here: unpacked in the cache, or a build tree of the user's. */
export interface Kernel {
	id: string;
	series: string;
	version: string;
	release: string;
	flavour: Flavour | 'custom';
	tier: Tier;
	/** absolute path of the bzImage */
	vmlinuz: string;
	/** absolute path that holds `lib/modules/RELEASE`, or null where there are no modules */
	modulesRoot: string | null;
	/** sha256 over what the kernel is made of: part of every key derived from it */
	digest: string;
	/** for a build tree: its path, as given to `virtme-run --kdir` */
	kdir?: string;
	/** for what is no package of Debian's: path of the configuration it was built with, where that is known */
	config?: string;
	/** for what is no package of Debian's: what to give getKernel() to find it again, `/src/linux` or `/boot/vmlinuz-…:/lib/modules/…` */
	selector?: string;
}
