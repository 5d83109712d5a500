/** What libbpf says: kept until an error quotes it, and never more than a screen or two of it. */

const MAX_CHARACTERS = 16 * 1024;

class BoundedLog {
	#text = '';

	/** The end is kept: the verifier names what it refused in its last lines. */
	add(text: string): void {
		this.#text = (this.#text + text).slice(-MAX_CHARACTERS);
	}

	/** What was said since the last time, which is forgotten. */
	take(): string {
		const text = this.#text;
		this.#text = '';
		return text;
	}
}

export const quoteLog = new BoundedLog();
