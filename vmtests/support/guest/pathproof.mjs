// `pathproof` as one types it in a guest.
import './plain.mjs';

const { main } = await import('../../../impl/main.ts');
await main(process.argv.slice(2));
