/** A trace as the document that `--json` prints. */
import type { Lab } from './lab.ts';
import { type TraceDocument, traceDocument } from './schema.ts';
import type { Trace } from './trace.ts';

export function toTraceDocument({ vm, state }: Pick<Lab, 'vm' | 'state'>, { packets }: Trace): TraceDocument {
	const { device, forward } = state.options;
	return traceDocument.parse({
		schema: 1,
		profile: vm.profile,
		kernel: vm.kernel.id,
		accel: vm.accel,
		device,
		forward,
		packets,
	});
}
