/** Whose an address is: of those that identities share and serve, and that containers have. */
import { addressBytes } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { addressesOf } from '../forward/tables.ts';

const CLAIMS = ['shares', 'serves'] as const;
const IN_WORDS = { shares: 'would share', serves: 'would serve' } as const;

/**
 * Throws a DatapathError where `spec` would share another's own address, or serve anybody's, or have one that is shared or served.
 * `others`: of any device. `hosts`: the addresses of this host, which those of identities are too.
 */
export function refuseClaims(spec: ContainerSpec, others: readonly ContainerSpec[], hosts: readonly string[]): void {
	for (const claim of CLAIMS)
		for (const { address } of spec.identity?.[claim] ?? []) {
			const owners = claim === 'serves' ? [spec, ...others] : others;
			const owner = owners.find((one) => addressesOf(one).some((own) => isSame(own, address)));
			if (owner)
				throw new DatapathError(`${address}, which ${spec.name} ${IN_WORDS[claim]}, is ${owner.name}'s own`, {
					hint: owner === spec ? 'another address than its own' : `pathproof net show ${owner.name}`,
				});
			if (claim === 'serves' && hosts.some((own) => isSame(own, address)))
				throw new DatapathError(`${address}, which ${spec.name} would serve, is this host's own`, {
					hint: 'ip address; a service has an address that no device has',
				});
		}
	for (const address of addressesOf(spec))
		for (const claim of CLAIMS) {
			const other = others.find(({ identity }) => identity?.[claim].some((one) => isSame(one.address, address)));
			if (other)
				throw new DatapathError(`${address}, which ${spec.name} would have, is one that ${other.name} ${claim}`, {
					hint: `pathproof net show ${other.name}`,
				});
		}
}

/** However they are written. */
function isSame(one: string, other: string): boolean {
	return addressBytes(one).equals(addressBytes(other));
}
