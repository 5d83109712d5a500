// A program that knows nothing of proxies: impl/tls/program.ts.
import './plain.mjs';

await import('../../../impl/tls/program.ts');
