// Imported before a module of the payload by what is a process of its own in a guest. Types are stripped already, and Node must not do
// it again: under TCG that is felt.
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

registerHooks({
	load(url, context, next) {
		if (!url.startsWith('file:///pathproof/') || !url.endsWith('.ts')) return next(url, context);
		return { format: 'module', source: readFileSync(fileURLToPath(url)), shortCircuit: true };
	},
});
