/** What the datapath's programs have dropped in this guest: by device and reason, e.g. `eth0 WRONG_UPLINK`. */
import { deviceName } from '../../../impl/addresses.ts';
import { withMap } from '../../../impl/forward/datapath.ts';
import { REASONS } from '../../../impl/forward/reasons.ts';

/** struct drop { __u32 ifindex, reason; } → u64 */
export function dropCounts(): Record<string, number> {
	return withMap('drops', (map) =>
		Object.fromEntries(
			map.keys().map((key) => {
				const ifindex = key.readUInt32LE(0);
				const reason = key.readUInt32LE(4);
				return [
					`${deviceName(ifindex) ?? ifindex} ${REASONS[reason] ?? reason}`,
					Number(map.lookup(key)?.readBigUInt64LE(0) ?? 0n),
				];
			}),
		),
	);
}
