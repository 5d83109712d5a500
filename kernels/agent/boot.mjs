// The agent's first module. Node must not strip types that the host has stripped already: under TCG that costs more than all else.
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

registerHooks({
	load(url, context, next) {
		if (!url.startsWith('file:///pathproof/') || !url.endsWith('.ts')) return next(url, context);
		return { format: 'module', source: readFileSync(fileURLToPath(url)), shortCircuit: true };
	},
});

await import('./agent.ts');
