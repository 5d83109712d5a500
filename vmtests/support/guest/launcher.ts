/** Puts `pathproof` on the guest's PATH. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PATH = '/usr/local/bin/pathproof';

/** Once for each guest; the command is of the same files that `vm.use` calls. */
export function installLauncher(): void {
	const script = fileURLToPath(import.meta.resolve('./pathproof.mjs'));
	writeFileSync(PATH, `#!/bin/sh\nexec ${process.execPath} ${script} "$@"\n`, { mode: 0o755 });
}
