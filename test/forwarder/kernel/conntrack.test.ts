import { expect, test } from '@jest/globals';
import { atMost, DeletionPace, type Forget, merged, TrackedReader } from '../../../src/forwarder/kernel/conntrack.ts';

const line = (port: number) =>
  `udp      17 29 src=10.9.1.2 dst=10.9.1.100 sport=1234 dport=${port} src=10.9.2.2 dst=10.9.2.1 sport=30053 dport=1234 mark=0 use=1\n`;

test.each([1, 7, 150, 1_000])(
  'of a long list only what is asked for is kept, however it comes: %i characters at a time',
  (length) => {
    const reader = new TrackedReader(new Set(['10.9.1.100 . udp . 53', '10.9.1.100 . udp . 55']));
    const text = [50, 51, 52, 53, 54, 55].map(line).join('');
    for (let at = 0; at < text.length; at += length) reader.read(text.slice(at, at + length));
    expect(reader.found.map(({ to }) => to.port)).toEqual([53, 55]);
  },
);

test('connections that are over are not kept: most of a busy table are', () => {
  const states = ['ESTABLISHED', 'TIME_WAIT', 'CLOSE', 'CLOSE_WAIT', 'LAST_ACK', 'SYN_SENT'];
  const reader = new TrackedReader(new Set(['fd00::100 . tcp . 80']));
  for (const state of states) {
    const ways = 'src=fd00::2 dst=FD00:0::100 sport=9 dport=80 src=fd00::9 dst=fd00::1 sport=8080 dport=9';
    reader.read(`tcp      6 119 ${state} ${ways} [ASSURED] mark=0 use=1\n`);
  }
  reader.read('icmp     1 29 src=fd00::2 dst=fd00::100 type=8 code=0 id=7 src=fd00::100 dst=fd00::2 type=0 code=0 id=7\n');
  expect(reader.found.map(({ state }) => state)).toEqual(['ESTABLISHED', 'CLOSE_WAIT', 'SYN_SENT']);
});

/** Flows of so many listeners at one address to one target, each at its nodePort. */
const flows = (listeners: number, target: string, address = '10.9.1.100'): Forget[] =>
  Array.from({ length: listeners }, (_, i) => ({
    protocol: 'udp',
    address,
    port: 1_000 + i,
    target: { address: target, port: 30_000 + i },
  }));
const whole = (target: string) => ({ protocol: 'udp', address: '10.9.1.100', port: 0, target: { address: target, port: 0 } });

test('flows of a thousand listeners to a node that went are forgotten at once, and no others with them', () => {
  const isGone = (target: string) => target === '10.9.2.4';
  expect(merged(flows(1_000, '10.9.2.4'), isGone)).toEqual([whole('10.9.2.4')]);
  expect(merged([...flows(1_000, '10.9.2.4'), ...flows(3, '10.9.2.2')], isGone)).toEqual([
    whole('10.9.2.4'),
    ...flows(3, '10.9.2.2'),
  ]);
  expect(merged(flows(1_000, '10.9.2.2'), isGone)).toEqual(flows(1_000, '10.9.2.2'));
  expect(merged(flows(3, '10.9.2.4'), isGone)).toEqual(flows(3, '10.9.2.4'));
});

test('what was never sent to a target is forgotten by its listener alone', () => {
  expect(merged(flows(20, '10.9.1.100'), () => true)).toEqual(flows(20, '10.9.1.100'));
});

test('where too many are to be forgotten those of the listeners concerned are, and of the address only when these are too many', () => {
  const many = [...flows(20, '10.9.2.2'), ...flows(20, '10.9.2.3'), whole('10.9.2.4')];
  expect(atMost(many, 41)).toEqual(many);
  const listeners = flows(20, '').map(({ protocol, address, port }) => ({ protocol, address, port }));
  expect(atMost(many, 40)).toEqual([...listeners, whole('10.9.2.4')]);
  expect(atMost(many, 20)).toEqual([{ protocol: 'udp', address: '10.9.1.100', port: 0 }]);
});

/** How many go at once in the end, when a run takes so long to start, and each deletion so long. */
function pace(startMs: number, eachMs: number): number {
  const one = new DeletionPace();
  for (let i = 0; i < 12; i++) one.took(startMs + one.atOnce * eachMs, one.atOnce);
  return one.atOnce;
}

test('many go at once where the start of the command is what takes long, and few where the table is', () => {
  expect([pace(3, 0.1), pace(400, 0.1)]).toEqual([64, 64]);
  expect(pace(3, 5)).toBeLessThanOrEqual(16);
  expect(pace(3, 200)).toBeLessThanOrEqual(2);
});
