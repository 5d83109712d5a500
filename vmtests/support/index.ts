/** What a test imports: `import { expect, path, test } from 'pathproof'`. */
import './cost/matcher.ts';
import './trace/matchers.ts';

export { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from 'vitest';
export { PathproofError } from '../../kernels/errors.ts';
export type { Accel, ExecOptions, ExecResult, GuestProcess, Profile, Remote, Vm } from '../../kernels/vm.ts';
export { buildProgram } from './build.ts';
export { COUNTED, type Cost, measureCost } from './cost/measure.ts';
export { TALK, type Workload } from './cost/workload.ts';
export type { Lab, LabRequest } from './lab.ts';
export type { Node } from './nodes.ts';
export { test } from './test.ts';
export { DUPLICATES, withoutRepeats } from './trace/duplicates.ts';
export type { FateCounts, HopCounts, Packets, PathOptions, SamePathOptions } from './trace/matchers.ts';
export { Path, path } from './trace/path.ts';
export { Trace } from './trace/trace.ts';
export type { Fate, Hop, PacketEvent, PacketFilter, PacketPath, PacketTuple } from './trace/types.ts';
export type { Device, Forward, LabOptions, Wire } from './types.ts';
