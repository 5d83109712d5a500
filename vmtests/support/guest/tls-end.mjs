// One end of TLS, told by the file that is named: impl/tls/end.ts, without the schema of its configuration.
import './plain.mjs';
import { readFileSync } from 'node:fs';

const { runEnd } = await import('../../../impl/tls/end.ts');
await runEnd(JSON.parse(readFileSync(process.argv[2], 'utf8')));
