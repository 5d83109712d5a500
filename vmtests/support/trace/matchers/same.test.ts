import { expect, test } from 'vitest';
import '../matchers.ts';
import { forwarded, hop, packet, redirected, SYMBOLS } from '../sample.ts';
import { Trace } from '../trace.ts';

const trace = new Trace([redirected], SYMBOLS);
const slow = new Trace([forwarded], SYMBOLS);
const back = packet([hop('peer:eth0 xmit'), hop('web:eth0 receive'), hop('web udp deliver')], { direction: 'in' });

const DIFFERENCE = {
	without: ['host backlog', 'host:web receive', 'host ip6 forward'],
	with: ['host:web ingress[egress_neigh → redirect]'],
};

test('the same hops are the same way, whoever sends and however often', () => {
	const other = { ...redirected.packet, sourcePort: 40001, source: 'fd00::3' };
	expect(trace).toFollowSamePathAs(new Trace([redirected, packet(redirected.hops, { packet: other })], SYMBOLS));
	expect(trace).not.toFollowSamePathAs(slow);
	expect(trace.out).toFollowSamePathAs(redirected);
});

test('how a program is attached makes no other way, but what it is and says does', () => {
	const ran = (more: object) => packet(redirected.hops.map((taken) => (taken.program ? { ...taken, ...more } : taken)));
	expect(trace).toFollowSamePathAs(ran({ attach: 'clsact' }));
	expect(trace).not.toFollowSamePathAs(ran({ verdict: 'pass' }));
	expect(trace).not.toFollowSamePathAs(ran({ program: 'another' }));
});

test('each direction is compared with its own', () => {
	expect(new Trace([redirected, back], SYMBOLS)).toFollowSamePathAs(new Trace([back, redirected], SYMBOLS));
	expect(() =>
		expect(new Trace([redirected, back], SYMBOLS)).toFollowSamePathAs(trace),
	).toThrowErrorMatchingInlineSnapshot(`
		[Error: packets took another way in

		    the other  │ here
		  ≠ (the end)  │ peer:eth0 xmit
		  ·            │ web:eth0 receive
		  ·            │ web udp deliver

		  except: nothing]
	`);
});

test('a flow that takes one way more is another flow', () => {
	expect(new Trace([redirected, forwarded], SYMBOLS)).not.toFollowSamePathAs(trace);
	expect(trace).not.toFollowSamePathAs(new Trace([redirected, forwarded], SYMBOLS));
});

test('differences that are named make no other way', () => {
	expect(trace).toFollowSamePathAs(slow, DIFFERENCE);
	expect(slow).toFollowSamePathAs(trace, { without: DIFFERENCE.with, with: DIFFERENCE.without });
	expect(trace).not.toFollowSamePathAs(slow, { without: ['host backlog'] });
	expect(trace).toFollowSamePathAs(slow, { ignoring: [...DIFFERENCE.without, ...DIFFERENCE.with, 'web backlog'] });
});

test('an exception that excepts nothing fails, and so does one that both took', () => {
	const more = { ...DIFFERENCE, with: [...DIFFERENCE.with, 'host:eth0 qdisc'] };
	expect(() => expect(trace).toFollowSamePathAs(slow, more)).toThrowErrorMatchingInlineSnapshot(
		`[Error: \`host:eth0 qdisc\` is excepted as taken only here, and is not taken here]`,
	);
	expect(() => expect(trace).not.toFollowSamePathAs(slow, more)).toThrow('`host:eth0 qdisc` is excepted');
	expect(() =>
		expect(trace).toFollowSamePathAs(slow, { without: ['host:eth0 xmit'] }),
	).toThrowErrorMatchingInlineSnapshot(
		`[Error: \`host:eth0 xmit\` is excepted as taken only there, and is taken here as well]`,
	);
});

test('shows the way beside the one of the other that is most like it', () => {
	expect(() =>
		expect(trace).toFollowSamePathAs(slow, { without: ['host backlog'] }),
	).toThrowErrorMatchingInlineSnapshot(`
		[Error: packets took another way out

		    the other          │ here
		    web:eth0 xmit      │ web:eth0 xmit
		  ≠ host:web receive   │ host:web ingress[netkit egress_neigh → redirect]
		  · host ip6 forward   │
		    host:eth0 xmit     │ host:eth0 xmit
		    peer:eth0 receive  │ peer:eth0 receive
		    peer udp deliver   │ peer udp deliver

		  except: without \`host backlog\`]
	`);
	expect(() => expect(trace).not.toFollowSamePathAs(trace)).toThrowErrorMatchingInlineSnapshot(`
		[Error: packets took the same ways, as they should not have

		    the other                                         │ here
		    web:eth0 xmit                                     │ web:eth0 xmit
		    host:web ingress[netkit egress_neigh → redirect]  │ host:web ingress[netkit egress_neigh → redirect]
		    host:eth0 xmit                                    │ host:eth0 xmit
		    peer:eth0 receive                                 │ peer:eth0 receive
		    peer udp deliver                                  │ peer udp deliver

		  except: nothing]
	`);
});
