import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { catalogueOf, parseName, parsePackages } from './catalogue.ts';
import { newestPerSeries } from './versions.ts';

/** Excerpts of the real Packages files of 2026-11-22, a file per suite. */
const EXCERPTS = new URL('../fixtures/packages/', import.meta.url);
const packages = readdirSync(EXCERPTS).flatMap((name) =>
	parsePackages(readFileSync(new URL(name, EXCERPTS), 'utf8'), name.replace('.txt', '')),
);
const kernels = catalogueOf(packages);
const cloud = kernels.filter(({ flavour }) => flavour === 'cloud');

test('one kernel for each version and flavour, oldest first', () => {
	expect(kernels.map(({ id, release, tier, suite }) => `${id} ${release} ${tier} ${suite}`)).toMatchInlineSnapshot(`
		[
		  "5.10.259 5.10.0-45-cloud-amd64 full bullseye-security",
		  "5.10.259-generic 5.10.0-45-amd64 full bullseye-security",
		  "5.10.262 5.10.0-46-cloud-amd64 full bullseye-security",
		  "5.10.262-generic 5.10.0-46-amd64 full bullseye-security",
		  "6.1.176 6.1.0-50-cloud-amd64 full bookworm",
		  "6.1.180 6.1.0-0.deb11.52-cloud-amd64 full bullseye-security",
		  "6.1.192 6.1.0-56-cloud-amd64 full bookworm-security",
		  "6.1.192-generic 6.1.0-56-amd64 full bookworm-security",
		  "6.12.107 6.12.107+deb13-cloud-amd64 full trixie",
		  "6.12.115 6.12.115+deb13.1-cloud-amd64 full trixie-security",
		  "6.12.117 6.12.117+deb13-cloud-amd64 full trixie-security",
		  "6.18.15 6.18.15+deb13-cloud-amd64 full trixie-backports",
		  "7.1.13 7.1.13+deb13-cloud-amd64 image trixie-backports",
		  "7.2.12 7.2.12+deb13-cloud-amd64 full trixie-backports",
		  "7.3.4 7.3.4+deb13-cloud-amd64 full trixie-backports",
		]
	`);
});

test('a package is taken with its size, sum and place', () => {
	expect(cloud.find(({ id }) => id === '7.3.4')!.packages).toMatchInlineSnapshot(`
		[
		  {
		    "filename": "pool/main/l/linux-signed-amd64/linux-binary-7.3.4+deb13-cloud-amd64_7.3.4-1~bpo13+1_amd64.deb",
		    "name": "linux-binary-7.3.4+deb13-cloud-amd64",
		    "sha256": "c4fbc8e404958693b28825474c20742d70594d65ca58aea7be6a279c81eb6fa0",
		    "size": 13604064,
		    "suite": "trixie-backports",
		    "version": "7.3.4-1~bpo13+1",
		  },
		  {
		    "filename": "pool/main/l/linux/linux-modules-7.3.4+deb13-cloud-amd64_7.3.4-1~bpo13+1_amd64.deb",
		    "name": "linux-modules-7.3.4+deb13-cloud-amd64",
		    "sha256": "359f04c363b7d3c5f9ce999ccb7351e00cc8eec0a30d6bc1cda37734987fc43d",
		    "size": 22918420,
		    "suite": "trixie-backports",
		    "version": "7.3.4-1~bpo13+1",
		  },
		]
	`);
});

test.each([
	['linux-image-5.10.0-46-cloud-amd64', '5.10.0-46-cloud-amd64', 'cloud'],
	['linux-image-5.10.0-46-amd64', '5.10.0-46-amd64', 'generic'],
	['linux-image-6.1.0-0.deb11.52-cloud-amd64', '6.1.0-0.deb11.52-cloud-amd64', 'cloud'],
	['linux-image-6.12.115+deb13.1-amd64', '6.12.115+deb13.1-amd64', 'generic'],
	['linux-binary-7.3.4+deb13-cloud-amd64', '7.3.4+deb13-cloud-amd64', 'cloud'],
])('%s is the kernel %s', (name, release, flavour) => {
	expect(parseName(name)).toMatchObject({ release, flavour });
});

test.each([
	['a metapackage', 'linux-image-6.12-cloud-amd64'],
	['debug symbols', 'linux-image-5.10.0-46-cloud-amd64-dbg'],
	['an unsigned image', 'linux-image-5.10.0-46-cloud-amd64-unsigned'],
	['an unsigned binary', 'linux-binary-unsigned-7.3.4+deb13-cloud-amd64'],
	['a realtime kernel', 'linux-image-5.10.0-46-rt-amd64'],
	['a realtime kernel, as they are named since 6.12', 'linux-image-6.12.117+deb13-rt-amd64'],
	['a template', 'linux-image-amd64-signed-template'],
	["another architecture's", 'linux-image-6.12.117+deb13-arm64'],
])('%s is none: %s', (_what, name) => {
	expect(parseName(name)).toBeNull();
});

test('the version is that of the package, since its name may be older', () => {
	expect(cloud.find(({ release }) => release === '5.10.0-46-cloud-amd64')!.version).toBe('5.10.262');
});

test('of a version built for two releases the home of its series is taken, else the highest revision', () => {
	const build = (version: string) => cloud.find((kernel) => kernel.version === version)!.release;
	expect(build('6.12.117')).toBe('6.12.117+deb13-cloud-amd64');
	expect(build('6.12.115')).toBe('6.12.115+deb13.1-cloud-amd64');
	expect(build('6.1.192')).toBe('6.1.0-56-cloud-amd64');
});

test('of a package in two suites the one that keeps it longer is taken', () => {
	expect(cloud.find(({ version }) => version === '6.12.107')!.suite).toBe('trixie');
});

test('from 6.19 a kernel is two packages, and without its modules one', () => {
	const names = (version: string) =>
		cloud.find((kernel) => kernel.version === version)!.packages.map(({ name }) => name);
	expect(names('7.2.12')).toEqual(['linux-binary-7.2.12+deb13-cloud-amd64', 'linux-modules-7.2.12+deb13-cloud-amd64']);
	expect(names('7.1.13')).toEqual(['linux-binary-7.1.13+deb13-cloud-amd64']);
	expect(cloud.find(({ version }) => version === '7.1.13')!.tier).toBe('image');
});

test('the newest of a series is one with modules where there is one', () => {
	const imageOnly = {
		...cloud.find(({ version }) => version === '7.2.12')!,
		id: '7.2.99',
		version: '7.2.99',
		tier: 'image' as const,
	};
	const newest = newestPerSeries([...cloud, imageOnly]);
	expect(newest.map(({ id }) => id)).toEqual([
		'5.10.262',
		'6.1.192',
		'6.12.117',
		'6.18.15',
		'7.1.13',
		'7.2.12',
		'7.3.4',
	]);
});
