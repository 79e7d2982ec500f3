import { expect, test } from '@jest/globals';
import { TrackedReader } from '../../../src/forwarder/kernel/conntrack.ts';

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
