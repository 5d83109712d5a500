/** What a long command is at, for whoever waits: on standard error, since standard output is its answer. */
export function note(text: string): void {
	process.stderr.write(`${text}\n`);
}
