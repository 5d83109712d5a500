// A container's owner who waits for the device and uses it in the same instant: born-sender.ts.
import './plain.mjs';

const { serveRounds } = await import('./born-sender.ts');
await serveRounds(process.argv[2], process.argv[3]);
