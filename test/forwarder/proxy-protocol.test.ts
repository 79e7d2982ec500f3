import { expect, test } from '@jest/globals';
import { proxyHeader } from '../../src/forwarder/proxy-protocol.ts';

const ends = (remoteAddress: string, localAddress: string) => ({
  remoteAddress,
  remotePort: 56_324,
  localAddress,
  localPort: 443,
});
const signature = '0d0a0d0a000d0a515549540a';

test.each<{ why: string; from: string; to: string; v1: string; v2: string }>([
  {
    why: 'IPv4',
    from: '192.0.2.1',
    to: '198.51.100.7',
    v1: 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n',
    v2: `${signature}2111000cc0000201c6336407dc0401bb`,
  },
  {
    why: 'IPv4 at a dual-stack socket',
    from: '::ffff:192.0.2.1',
    to: '::ffff:198.51.100.7',
    v1: 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n',
    v2: `${signature}2111000cc0000201c6336407dc0401bb`,
  },
  {
    why: 'IPv6, zeros in the middle',
    from: '2001:db8::1',
    to: '2001:db8:0:1:2:3:4:5',
    v1: 'PROXY TCP6 2001:db8::1 2001:db8:0:1:2:3:4:5 56324 443\r\n',
    v2: `${signature}2121002420010db800000000000000000000000120010db8000000010002000300040005dc0401bb`,
  },
  {
    why: 'IPv6, link-local with a scope',
    from: 'fe80::2%eth0',
    to: '::1',
    v1: 'PROXY TCP6 fe80::2 ::1 56324 443\r\n',
    v2: `${signature}21210024fe80000000000000000000000000000200000000000000000000000000000001dc0401bb`,
  },
  { why: 'a client that has gone', from: '', to: '', v1: 'PROXY UNKNOWN\r\n', v2: `${signature}20000000` },
])('$why', ({ from, to, v1, v2 }) => {
  expect(proxyHeader('v1', ends(from, to)).toString()).toBe(v1);
  expect(proxyHeader('v2', ends(from, to)).toString('hex')).toBe(v2);
});
