import { expect, test } from 'vitest';
import '../matchers.ts';
import { forwarded, hop, packet, redirected, SYMBOLS } from '../sample.ts';
import { Trace } from '../trace.ts';

const trace = new Trace([redirected], SYMBOLS);
const slow = new Trace([forwarded], SYMBOLS);

test('toKeepSocket judges one hop or the whole way', () => {
	expect(trace.at('host:eth0 xmit')).toKeepSocket();
	expect(packet(redirected.hops.slice(0, 3))).toKeepSocket();
	expect(slow.at('host:eth0 xmit')).not.toKeepSocket();
	expect(() => expect(slow.at('host:eth0 xmit')).toKeepSocket()).toThrowErrorMatchingInlineSnapshot(
		`[Error: the packet had lost its socket at \`host:eth0 xmit\` (net_dev_start_xmit)]`,
	);
	expect(() => expect(trace).not.toKeepSocket()).toThrow('the packet still had its socket at `web:eth0 xmit`');
});

test('toStayInContextOfSender judges one hop or the whole way', () => {
	expect(trace.at('host:eth0 xmit')).toStayInContextOfSender();
	expect(packet(redirected.hops.slice(0, 3))).toStayInContextOfSender();
	expect(slow.at('host:eth0 xmit')).not.toStayInContextOfSender();
	expect(() => expect(trace).toStayInContextOfSender()).toThrowErrorMatchingInlineSnapshot(
		`[Error: the packet ran in softirq and not in the context of the sender at \`peer:eth0 receive\` (net_dev_start_xmit)]`,
	);
});

test('a packet of which only the delivery was seen says nothing of its way', () => {
	const late = new Trace([packet([hop('peer udp deliver')])], SYMBOLS);
	expect(() => expect(late).toKeepSocket()).toThrow('there is nothing to judge');
	expect(() => expect(late).not.toKeepSocket()).toThrow('there is nothing to judge');
});
