import { describe, expect, test } from 'vitest';
import packages from '../fixtures/guest-packages.json' with { type: 'json' };
import { debianArguments, packArguments } from './root.ts';

describe('making the guest root', () => {
	test('Debian is asked for the packages of the list, without what they recommend', () => {
		const args = debianArguments('essential', ['iproute2', 'tcpdump'], 'http://mirror.invalid/debian', 'root.tar');
		expect(args).toContain('--include=iproute2,tcpdump');
		expect(args).toContain('--aptopt=APT::Install-Recommends "false"');
		expect(args.slice(-3)).toEqual(['trixie', 'root.tar', 'http://mirror.invalid/debian']);
	});

	test('the image is the same whenever and by whomever it is packed', () => {
		expect(packArguments('root.erofs', 'tree', 'hints')).toEqual([
			'-zlz4',
			'--compress-hints=hints',
			'-T',
			'1767225600',
			'-U',
			'00000000-0000-0000-0000-000000000000',
			'--all-root',
			'--quiet',
			'root.erofs',
			'tree',
		]);
	});

	test('every package says why, and a root in RAM is spared the largest', () => {
		expect(packages.filter(({ why }) => !why)).toEqual([]);
		expect(packages.filter(({ ram }) => !ram).map(({ name }) => name)).toEqual([
			'python3',
			'bind9-dnsutils',
			'nginx',
			'libnginx-mod-stream',
			'irtt',
			'go-mmproxy',
			'ncat',
			'openssl',
			'openssh-client',
			'dropbear-bin',
			'redis-server',
			'dnsmasq-base',
			'dnsperf',
			'bpftrace',
		]);
	});
});
