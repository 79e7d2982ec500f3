import { describe, expect, test } from '@jest/globals';
import { UsageError } from '../../../src/errors.ts';
import { formatIp, parseIp, parseRange } from '../../../src/providers/local/addresses.ts';
import { addressAt, describePools, indexOfAddress, readPools } from '../../../src/providers/local/pools.ts';
import { pool } from '../builders.ts';

describe('addresses', () => {
  test.each([
    { text: '10.0.0.1', read: '10.0.0.1' },
    { text: 'FD00:0::1', read: 'fd00::1' },
    { text: '2001:db8:0:0:1:0:0:1', read: '2001:db8::1:0:0:1' },
    { text: '010.0.0.1', read: undefined },
    { text: '10.1', read: undefined },
    { text: '::ffff:10.0.0.1', read: undefined },
    { text: 'fe80::1%eth0', read: undefined },
    { text: 'example.com', read: undefined },
    { text: '', read: undefined },
  ])('$text is read as $read', ({ text, read }) => {
    const ip = parseIp(text);
    expect(ip && formatIp(ip)).toBe(read);
  });

  test.each([
    { text: '10.0.0.0/28', first: '10.0.0.1', last: '10.0.0.14' },
    { text: '10.0.0.0/30', first: '10.0.0.1', last: '10.0.0.2' },
    { text: '10.0.0.0/31', first: '10.0.0.0', last: '10.0.0.1' },
    { text: '10.0.0.7/32', first: '10.0.0.7', last: '10.0.0.7' },
    { text: '10.0.0.0-10.0.0.255', first: '10.0.0.0', last: '10.0.0.255' },
    { text: ' 10.0.0.5 - 10.0.0.9 ', first: '10.0.0.5', last: '10.0.0.9' },
    { text: '10.0.0.9', first: '10.0.0.9', last: '10.0.0.9' },
    { text: 'fd00::/126', first: 'fd00::1', last: 'fd00::3' },
    { text: 'fd00::/127', first: 'fd00::', last: 'fd00::1' },
  ])('$text is $first to $last', ({ text, first, last }) => {
    const range = parseRange(text.trim());
    if (typeof range === 'string') throw new Error(range);
    expect([range.first, range.last].map((value) => formatIp({ family: range.family, value }))).toEqual([first, last]);
  });
});

describe('pools', () => {
  test.each([
    { why: 'not a CIDR', addresses: ['10.0.0.0/33'], says: /prefix length .* 0 to 32/ },
    { why: 'host bits set', addresses: ['10.0.0.5/24'], says: /write 10\.0\.0\.0\/24/ },
    { why: 'backwards', addresses: ['10.0.0.9-10.0.0.5'], says: /ends before it begins/ },
    { why: 'two families in one range', addresses: ['10.0.0.1-fd00::1'], says: /different IP families/ },
    { why: 'a name', addresses: ['lb.example.com'], says: /neither a CIDR/ },
    { why: 'everything', addresses: ['0.0.0.0'], says: /unspecified/ },
    { why: 'multicast', addresses: ['224.0.0.0/24'], says: /multicast/ },
    { why: 'link-local IPv6', addresses: ['fe80::1'], says: /link-local/ },
    { why: 'empty', addresses: [], says: /has no addresses/ },
  ])('$why is a usage error', ({ addresses, says }) => {
    expect(() => readPools([pool('p', addresses)])).toThrow(UsageError);
    expect(() => readPools([pool('p', addresses)])).toThrow(says);
  });

  test('every problem of every pool is told at once', () => {
    const read = () => readPools([pool('a', ['nonsense', '10.0.0.1/8']), pool('a', [])]);
    expect(read).toThrow(/"nonsense".*\n.*"10\.0\.0\.1\/8".*\n.*no addresses.*\n.*Two pools/);
  });

  test('overlapping entries of one pool are counted once, and every index has its address', () => {
    const [p] = readPools([pool('p', ['10.0.0.5-10.0.0.9', '10.0.0.8-10.0.0.10', '10.0.0.20', 'fd00::1'])]);
    expect(p!.sizes).toEqual({ IPv4: 7n, IPv6: 1n });
    const all = [0n, 1n, 2n, 3n, 4n, 5n, 6n].map((i) => addressAt(p!, 'IPv4', i));
    expect(all.map(formatIp)).toEqual(['10.0.0.5', '10.0.0.6', '10.0.0.7', '10.0.0.8', '10.0.0.9', '10.0.0.10', '10.0.0.20']);
    expect(all.map((ip) => indexOfAddress(p!, ip))).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n]);
  });

  test('clashes with the cluster and between pools are warnings', () => {
    const pools = readPools([pool('a', ['10.0.0.0/29']), pool('b', ['10.0.0.6-10.0.0.20']), pool('c', ['10.1.0.1'])]);
    const lines = describePools(pools, (address) => (address === '10.0.0.2' ? 'node n1' : undefined));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/pool a: .* 10\.0\.0\.2 \(node n1\)/);
    expect(lines[1]).toMatch(/pools a .* and b .* in common/);
  });
});
