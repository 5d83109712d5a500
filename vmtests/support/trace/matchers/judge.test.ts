/** What cannot be judged fails, with and without `.not`. */
import { describe, expect, test } from 'vitest';
import '../matchers.ts';
import { event, forwarded, packet, redirected, SYMBOLS } from '../sample.ts';
import { Trace } from '../trace.ts';

type Given = Trace | ReturnType<Trace['at']>;

const CLAIMS = {
	toFollowPath: (given: Given) => expect(given).toFollowPath('web:eth0 xmit, …'),
	toFollowSamePathAs: (given: Given) => expect(given).toFollowSamePathAs(whole),
	toTraverse: (given: Given) => expect(given).toTraverse('host:eth0 xmit'),
	toTakeHops: (given: Given) => expect(given).toTakeHops({ xmit: 2 }),
	toKeepSocket: (given: Given) => expect(given).toKeepSocket(),
	toStayInContextOfSender: (given: Given) => expect(given).toStayInContextOfSender(),
	toBeDroppedAt: (given: Given) => expect(given).toBeDroppedAt('peer:eth0 receive', 'NO_SOCKET'),
	toBeAccountedFor: (given: Given) => expect(given).toBeAccountedFor(),
};
const DENIALS = {
	toFollowPath: (given: Given) => expect(given).not.toFollowPath('web:eth0 xmit'),
	toFollowSamePathAs: (given: Given) => expect(given).not.toFollowSamePathAs(slow),
	toTraverse: (given: Given) => expect(given).not.toTraverse('ip6_forward'),
	toTakeHops: (given: Given) => expect(given).not.toTakeHops({ xmit: 1 }),
	toKeepSocket: (given: Given) => expect(given).not.toKeepSocket(),
	toStayInContextOfSender: (given: Given) => expect(given).not.toStayInContextOfSender(),
	toBeDroppedAt: (given: Given) => expect(given).not.toBeDroppedAt('peer:eth0 receive', 'NO_SOCKET'),
	toBeAccountedFor: (given: Given) => expect(given).not.toBeAccountedFor(),
};

const whole = new Trace([redirected], SYMBOLS);
const slow = new Trace([forwarded], SYMBOLS);
const nothing = new Trace([], SYMBOLS);
const lossy = new Trace([packet(redirected.hops, { lostEvents: 3 })], SYMBOLS);
const blind = new Trace([packet(redirected.hops)], SYMBOLS, [{ name: 'typeless', why: 'it was loaded without BTF' }]);

describe.for(Object.keys(CLAIMS) as (keyof typeof CLAIMS)[])('%s', (name) => {
	test('says nothing of no packet', () => {
		expect(() => CLAIMS[name](nothing)).toThrow('no packet was traced');
		expect(() => DENIALS[name](nothing)).toThrow('no packet was traced');
	});

	test('says nothing where events were lost', () => {
		expect(() => CLAIMS[name](lossy)).toThrow('3 events were lost');
		expect(() => DENIALS[name](lossy)).toThrow('3 events were lost');
	});

	test('denies nothing where a program ran unseen', () => {
		expect(() => DENIALS[name](blind)).toThrow('a program ran unseen');
	});
});

test('a loss is said once, with what to do about it', () => {
	expect(() => expect(lossy).toTraverse('host:eth0 xmit')).toThrowErrorMatchingInlineSnapshot(
		`[Error: 3 events were lost, so nothing can be said of this trace: a larger ring buffer takes more, \`lab({ ringBytes: 2 ** 26 })\`]`,
	);
});

test('a program that ran unseen is named, with the reason', () => {
	expect(() => expect(blind).not.toTraverse('ip6_forward')).toThrowErrorMatchingInlineSnapshot(`
		[Error: a program ran unseen, so it cannot be said what did not happen:
		  typeless: it was loaded without BTF]
	`);
});

test('what was seen can be said all the same where a program ran unseen', () => {
	expect(blind).toTraverse('host:eth0 xmit');
	expect(blind).toTakeHops({ xmit: 2 });
	expect(blind.at('host:eth0 xmit')).toKeepSocket();
	expect(() => expect(blind).toTakeHops({ backlog: 0 })).toThrow('a program ran unseen');
	expect(() => expect(blind).toBeAccountedFor()).toThrow('a program ran unseen');
	expect(() => expect(blind).toFollowSamePathAs(whole)).toThrow('a program ran unseen');
	expect(() => expect(whole).toFollowSamePathAs(blind)).toThrow('of the other: a program ran unseen');
});

test('packets and hops know the trace that they are of', () => {
	expect(() => expect(lossy.at('host:eth0 xmit')).toKeepSocket()).toThrow('3 events were lost');
	expect(() => expect(blind.out[0]).not.toTraverse('ip6_forward')).toThrow('a program ran unseen');
	expect(() => expect(blind.packets.filter(() => true)).not.toTraverse('ip6_forward')).toThrow('a program ran unseen');
});

test('packets of no trace are judged by what they have', () => {
	expect([packet(redirected.hops, { events: [event('ip6_output')] })]).toTraverse('ip6_output');
	expect(packet(redirected.hops)).not.toTraverse('nf_hook_slow');
});

test('what is not a trace is refused', () => {
	expect(() => expect(Promise.resolve(whole)).toTraverse('ip6_forward')).toThrow('await the stimulus');
	expect(() => expect(whole).toFollowSamePathAs(Promise.resolve(slow) as never)).toThrow('await the stimulus');
});
