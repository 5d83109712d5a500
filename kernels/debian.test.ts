import { expect, test } from 'vitest';
import { aptConfig, chooseMirrors, defaultSuites, parseDeb822, parseOneLine } from './debian.ts';

const DEBIAN_12 = `Types: deb
# http://snapshot.example/archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
`;

test('deb822 sources are read stanza by stanza, without comments and what is switched off', () => {
	expect(parseDeb822(DEBIAN_12)).toEqual([
		{ uri: 'http://mirror.example/debian', suite: 'bookworm' },
		{ uri: 'http://mirror.example/debian', suite: 'bookworm-updates' },
		{ uri: 'http://mirror.example/debian-security', suite: 'bookworm-security' },
	]);
});

test('one-line sources may have options and comments', () => {
	const text = `# deb http://no.example/debian trixie main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main contrib # ours
deb-src http://mirror.example/debian trixie main
deb http://security.example/ bullseye/updates main`;
	expect(parseOneLine(text)).toEqual([
		{ uri: 'http://mirror.example/debian', suite: 'trixie' },
		{ uri: 'http://security.example/', suite: 'bullseye/updates' },
	]);
});

test('the mirrors are those of the machine', () => {
	expect(chooseMirrors(parseDeb822(DEBIAN_12))).toEqual({
		main: 'http://mirror.example/debian',
		security: 'http://mirror.example/debian-security',
	});
});

test('a mirror given by hand comes first, and has the security archive beside it', () => {
	expect(chooseMirrors(parseDeb822(DEBIAN_12), 'http://hand.example/debian/')).toEqual({
		main: 'http://hand.example/debian',
		security: 'http://hand.example/debian-security',
	});
});

test("another distribution's sources are no mirror of Debian", () => {
	const ubuntu = parseOneLine('deb http://archive.ubuntu.example/ubuntu noble main');
	expect(() => chooseMirrors(ubuntu)).toThrow(/no mirror.*\[setup\]\ntry: PATHPROOF_DEBIAN_MIRROR=/s);
});

test('sid, forky and experimental are read only when they are asked for', () => {
	expect(defaultSuites('')).not.toContain('sid');
	expect(defaultSuites('sid')).toContain('sid');
	expect(() => defaultSuites('jessie')).toThrow(/no suite jessie.*\[usage\]/);
});

test('the private configuration reads nothing of /etc/apt', () => {
	const text = aptConfig('/cache/apt/x', ['Acquire::http::Proxy "http://proxy.example:3142";']);
	expect(text).not.toContain('/etc/apt');
	expect(text).toContain('Acquire::http::Proxy "http://proxy.example:3142";');
	for (const part of ['parts', 'main', 'sourceparts', 'preferencesparts'])
		expect(text).toContain(`Dir::Etc::${part} "/dev/null";`);
});
