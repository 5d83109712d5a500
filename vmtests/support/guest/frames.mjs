// Sends frames as it is told on standard input: frames.ts.
import './plain.mjs';

const { serveFrames } = await import('./frames.ts');
await serveFrames();
