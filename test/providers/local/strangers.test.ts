import { describe, expect, test } from '@jest/globals';
import { failedDetections, findStranger, placeOf, Strangers } from '../../../src/providers/local/strangers.ts';

describe('where an address would be', () => {
  const own = (address: string, cidr: string, internal = false) => ({
    ...{ address, cidr, internal, netmask: '', mac: '02:00:00:00:00:01', family: 'IPv4' as const },
  });
  const interfaces = {
    lo: [own('127.0.0.1', '127.0.0.1/8', true)],
    eth0: [own('10.0.0.5', '10.0.0.5/16'), { ...own('fd00::5', 'fd00::5/64'), family: 'IPv6' as const, scopeid: 0 }],
    eth1: [own('10.0.7.5', '10.0.7.5/24')],
  };

  test.each([
    { address: '10.0.0.9', where: 'eth0' },
    { address: '10.0.7.9', where: 'eth1' }, // the narrower one
    { address: 'fd00::9', where: 'eth0' },
    { address: '10.0.0.5', where: undefined }, // here
    { address: '127.0.0.9', where: undefined },
    { address: '192.0.2.1', where: undefined },
    { address: 'fd01::9', where: undefined },
    { address: 'nonsense', where: undefined },
  ])('$address: $where', ({ address, where }) => {
    expect(placeOf(address, interfaces)?.interface).toBe(where);
  });

  test('of one that is nowhere near nobody is asked', async () => {
    expect(await findStranger('127.77.0.9')).toBeUndefined();
  });
});

test('addresses that the kernel found with another machine are those with its mark', () => {
  const table = [
    'fd000000000000000000000000000009 02 40 00 88 eth0',
    'fd000000000000000000000000000008 02 40 00 80     eth0',
    '00000000000000000000000000000001 01 80 10 80       lo',
    'nonsense',
    '',
  ].join('\n');
  expect([...failedDetections(table)]).toEqual([['fd00::9', 'eth0']]);
});

test('an address is tried again after a while, and whoever waits is told', async () => {
  const forgot = Promise.withResolvers<readonly string[]>();
  const strangers = new Strangers(forgot.resolve, undefined, 50);
  strangers.note('192.0.2.1', 'seen', 'default/web');
  expect(strangers.at('192.0.2.1')).toBe('seen');
  const alive = setTimeout(() => {}, 10_000); // its own timer keeps no process alive
  expect(await forgot.promise).toEqual(['192.0.2.1']);
  clearTimeout(alive);
  expect(strangers.at('192.0.2.1')).toBeUndefined();
  strangers.close();
});

test('one that answers again each time is tried less and less often; one that had left is as new', async () => {
  let now = 0;
  let forgot = Promise.withResolvers<readonly string[]>();
  const strangers = new Strangers(
    (addresses) => forgot.resolve(addresses),
    () => now,
    10,
  );
  const alive = setInterval(() => {}, 1_000); // its own timer keeps no process alive
  const noteAndForget = async (from: number, againMs: number, address = '192.0.2.1'): Promise<void> => {
    now = from;
    forgot = Promise.withResolvers();
    strangers.note(address, 'seen', 'default/web');
    now = from + againMs;
    expect(await forgot.promise).toEqual([address]);
  };
  await noteAndForget(0, 10);
  now = 11;
  strangers.note('192.0.2.1', 'seen', 'default/web');
  await noteAndForget(11, 10, '192.0.2.2'); // a new one is not remembered for so long
  expect(strangers.at('192.0.2.1')).toBe('seen');
  forgot = Promise.withResolvers();
  now = 31;
  expect(await forgot.promise).toEqual(['192.0.2.1']);
  await noteAndForget(10_000, 10);
  clearInterval(alive);
  strangers.close();
});

test('it is counted at how many addresses each balancer met one, until these are forgotten', async () => {
  let now = 0;
  const forgot = Promise.withResolvers<readonly string[]>();
  const strangers = new Strangers(forgot.resolve, () => now, 10);
  const alive = setInterval(() => {}, 1_000);
  for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.2']) strangers.note(address, 'seen', 'default/web');
  strangers.note('192.0.2.1', 'seen', 'default/api');
  expect(['default/web', 'default/api', 'default/other'].map((key) => strangers.metBy(key))).toEqual([2, 1, 0]);
  now = 10;
  await forgot.promise;
  expect(strangers.metBy('default/web')).toBe(0);
  clearInterval(alive);
  strangers.close();
});
