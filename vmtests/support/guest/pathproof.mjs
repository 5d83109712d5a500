// `pathproof` as one types it in a guest.
import { enableCompileCache } from 'node:module';
import './plain.mjs';

// Under TCG compiling is felt; the second call finds it done.
enableCompileCache('/run/pathproof/compiled');
const { main } = await import('../../../impl/main.ts');
await main(process.argv.slice(2));
