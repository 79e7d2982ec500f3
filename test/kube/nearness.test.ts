import { expect, test } from '@jest/globals';
import { isNearAddress, judgeNearness, lookUpNearness } from '../../src/kube/nearness.ts';

test.each<{ address: string; near: boolean }>([
  { address: '127.0.0.1', near: true },
  { address: '127.9.9.9', near: true },
  { address: '::1', near: true },
  { address: '0.0.0.0', near: true },
  { address: '10.1.2.3', near: true },
  { address: '172.16.0.1', near: true },
  { address: '172.32.0.1', near: false },
  { address: '192.168.65.3', near: true },
  { address: '169.254.1.1', near: true },
  { address: 'fe80::1%eth0', near: true },
  { address: 'fd12::1', near: true },
  { address: '2001:db8::1', near: false },
  { address: '::ffff:10.0.0.1', near: true },
  { address: '::ffff:8.8.8.8', near: false },
  { address: '100.64.0.1', near: false },
  { address: '203.0.113.7', near: false },
  { address: 'garbage', near: false },
  { address: '', near: false },
])('$address near: $near', ({ address, near }) => expect(isNearAddress(address)).toBe(near));

test('one public address among private ones is far', () => {
  expect(judgeNearness('api', ['10.0.0.1', '8.8.8.8'])).toMatchObject({
    near: false,
    reason: expect.stringContaining('8.8.8.8'),
  });
  expect(judgeNearness('api', [])).toMatchObject({ near: false, reason: 'api cannot be resolved' });
});

test('names are looked up, addresses are not', async () => {
  const resolve = async (host: string): Promise<string[]> =>
    host === 'api.lab' ? ['10.0.0.1', 'fd00::1'] : Promise.reject(new Error('no'));
  expect(await lookUpNearness('https://api.lab:6443', resolve)).toMatchObject({ near: true, addresses: ['10.0.0.1', 'fd00::1'] });
  expect(await lookUpNearness('https://unknown.lab', resolve)).toMatchObject({ near: false });
  expect(await lookUpNearness('https://[::1]:6443', resolve)).toMatchObject({ near: true });
  expect(await lookUpNearness('http://127.0.0.1:8001/k8s', resolve)).toMatchObject({ near: true });
});
