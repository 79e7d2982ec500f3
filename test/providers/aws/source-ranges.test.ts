import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved } from '../builders.ts';
import { want } from '../drive.ts';
import { asking } from './changes.ts';
import { makeAws, makeProvider } from './stage.ts';

let aws: SandboxAws;
let provider: Provider;
beforeEach(async () => {
  const prefixLists = ['pl-1', 'pl-2'].map((id) => ({ id, name: `offices of ${id}`, maxEntries: 50 }));
  aws = await makeAws({ seed: { ...typicalAccount(), prefixLists } });
  provider = makeProvider(aws);
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

const ipv4 = (count: number, second = 0): readonly string[] =>
  Array.from({ length: count }, (_, at) => `10.${second}.${at}.0/24`);
const ipv6 = (count: number): readonly string[] => Array.from({ length: count }, (_, at) => `2001:db8:${at + 1}::/48`);

function from(sourceRanges: readonly string[], annotations: Readonly<Record<string, string>> = {}): Balancer {
  return asking({ 'ip-address-type': 'dualstack', ...annotations }, { ports: [{ port: 80, sourceRanges }] });
}

/** Who may reach the NLB. */
function admitted(): readonly string[] {
  const front = aws.securityGroups().filter(({ id }) => aws.loadBalancers()[0]?.securityGroups[0] === id);
  return front.flatMap(({ rules }) => [...rules.values()].filter(({ egress }) => !egress).map(({ peer }) => peer.value)).sort();
}

describe('a security group takes 60 rules', () => {
  test('of IPv4 and 60 of IPv6', async () => {
    const ranges = [...ipv4(60), ...ipv6(60)];
    await want(provider, from(ranges));
    expect(admitted()).toEqual([...ranges].sort());
  });

  test.each([
    { family: 'IPv4', ranges: [...ipv4(61), ...ipv6(2)] },
    { family: 'IPv6', ranges: [...ipv4(2), ...ipv6(61)] },
  ])('and not 61 of $family', async ({ family, ranges }) => {
    await expect(want(provider, from(ranges))).rejects.toMatchObject({
      code: 'QuotaExceeded',
      message: expect.stringContaining(`61 rules of ${family}`),
    });
  });
});

describe('source ranges are exchanged, though old and new ones together are too many', () => {
  const lists = { 'security-group-prefix-lists': 'pl-1' };
  const world = ['0.0.0.0/0'];
  test.each<{ what: string; old: Balancer; next: Balancer; admits: readonly string[]; least?: number }>([
    { what: '40 for 40 others', old: from(ipv4(40)), next: from(ipv4(40, 1)), admits: ipv4(40, 1), least: 40 },
    { what: 'the world for 60', old: from(world), next: from(ipv4(60)), admits: ipv4(60), least: 1 },
    { what: '60 for the world', old: from(ipv4(60)), next: from(world), admits: world, least: 1 },
    {
      what: 'beside another family that is full',
      old: from([...ipv4(1), ...ipv6(60)]),
      next: from(ipv4(2, 1)),
      admits: ipv4(2, 1),
      least: 2,
    },
    {
      what: 'beside a prefix list that takes 50, without a gap where both have room',
      old: from(ipv4(5), lists),
      next: from(ipv4(5, 1), lists),
      admits: [...ipv4(5, 1), 'pl-1'],
      least: 6,
    },
    {
      what: 'beside a prefix list that takes 50, where they have none: the list goes on admitting',
      old: from(ipv4(8), lists),
      next: from(ipv4(8, 1), lists),
      admits: [...ipv4(8, 1), 'pl-1'],
      least: 1,
    },
    { what: 'five for a prefix list that takes 50', old: from(ipv4(5)), next: from([], lists), admits: ['pl-1'], least: 1 },
    { what: 'twenty for a prefix list that takes 50', old: from(ipv4(20)), next: from([], lists), admits: ['pl-1'] },
  ])('$what', async ({ old, next, admits, least = 0 }) => {
    await want(provider, old);
    let fewest = Number.POSITIVE_INFINITY;
    aws.calls.watch(() => {
      fewest = Math.min(fewest, admitted().length);
    });
    await want(provider, next);
    expect(admitted()).toEqual([...admits].sort());
    expect(fewest).toBeGreaterThanOrEqual(least);
  });

  test('what the group has no room for at all leaves those in who were admitted', async () => {
    const weighty = { ...lists, 'security-group-prefix-lists': 'pl-1,pl-2' };
    await want(provider, from(ipv4(8)));
    await expect(want(provider, from([], weighty))).rejects.toMatchObject({ code: 'QuotaExceeded' });
    expect(admitted()).toEqual([...ipv4(8)].sort());
  });

  test('also where a port changes its transport', async () => {
    const port = { port: 53, nodePort: 30_053, sourceRanges: ipv4(40) };
    await want(provider, asking({}, { ports: [port] }));
    await want(provider, asking({}, { ports: [{ ...port, protocol: 'UDP' }] }));
    expect(admitted()).toEqual([...ipv4(40)].sort());
    expect(aws.listeners().map(({ protocol }) => protocol)).toEqual(['UDP']);
  });
});
