/** What a test imports: `import { expect, path, test } from 'pathproof'`. */
import './matchers.ts';

export { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from 'vitest';
export { PathproofError } from '../../kernels/errors.ts';
export type { Accel, ExecOptions, ExecResult, GuestProcess, Profile, Remote, Vm } from '../../kernels/vm.ts';
export { buildProgram } from './build.ts';
export type { HopCounts, Packets, PathOptions } from './matchers.ts';
export { Path, path } from './path.ts';
export { test } from './test.ts';
export { Trace } from './trace.ts';
export type { Device, Forward, Hop, LabOptions, PacketFilter, PacketPath, PacketTuple, Wire } from './types.ts';
