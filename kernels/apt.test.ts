import { expect, test } from 'vitest';
import { suiteProblems } from './apt.ts';

/** What apt 2.6 said of four suites: expired, not there, no network, badly signed. */
const STDERR = `E: Release file for http://mirror.example/debian/dists/sid/InRelease is expired (invalid since 15d 19h 34min 25s). Updates for this repository will not be applied.
E: The repository 'http://mirror.example/debian bullseye-nosuch Release' does not have a Release file.
W: Failed to fetch http://127.0.0.1:1/debian/dists/bookworm-updates/InRelease  Could not connect to 127.0.0.1:1 (127.0.0.1). - connect (111: Connection refused)
W: GPG error: http://mirror.example/debian trixie InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 6ED0E7B82643E131
E: The repository 'http://mirror.example/debian trixie InRelease' is not signed.
W: Some index files failed to download. They have been ignored, or old ones used instead.`;

test('each suite that apt passed over is named, with the first reason', () => {
	expect(suiteProblems(STDERR)).toEqual({
		sid: 'expired',
		'bullseye-nosuch': 'not on this mirror',
		'bookworm-updates': 'Could not connect to 127.0.0.1:1 (127.0.0.1). - connect (111: Connection refused)',
		trixie: expect.stringContaining('NO_PUBKEY'),
	});
});

test("apt 3's words are understood too", () => {
	const apt3 = STDERR.replaceAll(/^E: /gm, 'Error: ').replaceAll(/^W: /gm, 'Warning: ');
	expect(suiteProblems(apt3)).toEqual(suiteProblems(STDERR));
});

test('a clean update has no problems', () => {
	expect(suiteProblems('')).toEqual({});
});
