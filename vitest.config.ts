import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { include: ['kernels/**/*.test.ts', 'vmtests/support/**/*.test.ts'] } });
