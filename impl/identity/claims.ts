/** Whose an address is: of those that identities share and serve, and that containers have. */
import { type ContainerSpec, canonical } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { addressesOf } from '../forward/tables.ts';

const CLAIMS = { shares: 'would share', serves: 'would serve' } as const;

/**
 * Throws a DatapathError where `spec` would share another's own address, or serve anybody's, or have one that is shared or served.
 * `others`: of any device, each looked at once. `hosts`: the addresses of this host, which those of identities are too.
 */
export function refuseClaims(spec: ContainerSpec, others: Iterable<ContainerSpec>, hosts: readonly string[]): void {
	const { name, identity } = spec;
	const own = addressesOf(spec);
	const claims = (Object.keys(CLAIMS) as (keyof typeof CLAIMS)[]).map(
		(claim) => [claim, new Set(identity?.[claim].map(({ address }) => address))] as const,
	);
	for (const other of others)
		for (const [claim, addresses] of claims) {
			const taken = addressesOf(other).find((address) => addresses.has(address));
			if (taken !== undefined) throw ofOwner(`${taken}, which ${name} ${CLAIMS[claim]}, is ${other.name}'s own`, other);
			const claimed = other.identity?.[claim].find(({ address }) => own.includes(address));
			if (claimed)
				throw ofOwner(`${claimed.address}, which ${name} would have, is one that ${other.name} ${claim}`, other);
		}
	if (!identity?.serves.length) return;
	const known = new Set(hosts.map(canonical));
	for (const { address } of identity.serves) {
		if (own.includes(address))
			throw new DatapathError(`${address}, which ${name} would serve, is ${name}'s own`, {
				hint: 'another address than its own',
			});
		if (known.has(address))
			throw new DatapathError(`${address}, which ${name} would serve, is this host's own`, {
				hint: 'ip address; a service has an address that no device has',
			});
	}
}

function ofOwner(message: string, { name }: ContainerSpec): DatapathError {
	return new DatapathError(message, { hint: `pathproof net show ${name}` });
}
