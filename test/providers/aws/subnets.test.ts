import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SeenSubnet } from '../../../src/providers/aws/picture.ts';
import { chooseSubnets, type SubnetWish } from '../../../src/providers/aws/subnets.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved, refusalOf } from '../builders.ts';
import { want } from '../drive.ts';
import { makeAws, makeProvider, nlb } from './stage.ts';

const ELB = { 'kubernetes.io/role/elb': '1' };
const OWN = { 'kubernetes.io/cluster/shop': 'owned' };
const THEIRS = { 'kubernetes.io/cluster/theirs': 'shared' };

function subnet(id: string, more: Partial<SeenSubnet> = {}): SeenSubnet {
  return {
    id,
    vpcId: 'vpc-1',
    zone: 'us-west-2a',
    cidr: '10.0.0.0/24',
    freeAddresses: 100,
    tags: ELB,
    isPublic: true,
    ...more,
  };
}

const asking = (more: Partial<SubnetWish> = {}): SubnetWish => ({
  scheme: 'internet-facing',
  dualStack: false,
  named: [],
  clusterName: 'shop',
  held: [],
  ...more,
});

describe('the subnets of an NLB', () => {
  test.each<{ why: string; subnets: readonly SeenSubnet[]; wish?: Partial<SubnetWish>; are: readonly string[] }>([
    {
      why: 'those with the role tag, one a zone, the lowest id first',
      subnets: [subnet('b'), subnet('a'), subnet('c', { zone: 'us-west-2b' }), subnet('d', { zone: 'us-west-2c', tags: {} })],
      are: ['a', 'c'],
    },
    { why: "the cluster's own before others", subnets: [subnet('a'), subnet('b', { tags: { ...ELB, ...OWN } })], are: ['b'] },
    {
      why: 'where none has the role tag, public ones',
      subnets: [subnet('a', { tags: {} }), subnet('b', { tags: {}, isPublic: false, zone: 'us-west-2b' })],
      are: ['a'],
    },
    {
      why: 'where none has it, all others for internal NLBs',
      subnets: [subnet('a', { tags: {} }), subnet('b', { tags: {}, isPublic: false })],
      wish: { scheme: 'internal' },
      are: ['b'],
    },
    {
      why: 'none of another cluster, none that is nearly full',
      subnets: [
        subnet('a', { tags: { ...ELB, ...THEIRS } }),
        subnet('b', { freeAddresses: 7, zone: 'us-west-2b' }),
        subnet('c', { zone: 'us-west-2c' }),
      ],
      are: ['c'],
    },
    {
      why: 'the one that the NLB is in, however full it has become, and whatever comes beside it',
      subnets: [subnet('a'), subnet('b', { freeAddresses: 0 }), subnet('c', { tags: { ...ELB, ...OWN } })],
      wish: { held: ['b'] },
      are: ['b'],
    },
    {
      why: 'none in a Local or Wavelength Zone or on an Outpost, though it has the role tag',
      subnets: [
        subnet('a', { zone: 'us-west-2-lax-1a' }),
        subnet('b', { zone: 'us-west-2-wl1-las-wlz-1' }),
        subnet('c', { onOutpost: true }),
        subnet('d', { zone: 'us-west-2b' }),
      ],
      are: ['d'],
    },
    {
      why: 'a Local Zone that is named',
      subnets: [subnet('a', { zone: 'us-west-2-lax-1a' })],
      wish: { named: ['a'] },
      are: ['a'],
    },
    {
      why: 'in the order in which they are named',
      subnets: [subnet('a'), subnet('b', { zone: 'us-gov-west-1b' })],
      wish: { named: ['b', 'a'] },
      are: ['b', 'a'],
    },
  ])('$why', ({ subnets, wish, are }) => expect(chooseSubnets(subnets, asking(wish)).map(({ id }) => id)).toEqual(are));

  test('zones of two kinds are refused', () => {
    const subnets = [subnet('a'), subnet('b', { zone: 'us-west-2-lax-1a' })];
    expect(refusalOf(() => chooseSubnets(subnets, asking({ named: ['a', 'b'] })))).toEqual({
      code: 'SubnetUnavailable',
      message: expect.stringMatching(/^Subnet b is in us-west-2-lax-1a, a Local or Wavelength Zone, and a in us-west-2a: /),
    });
  });

  test('when none fits each one is named, and why not', () => {
    const subnets = [
      subnet('a', { zone: 'us-west-2-lax-1a' }),
      subnet('b', { freeAddresses: 3 }),
      subnet('c', { tags: { ...ELB, ...THEIRS } }),
      subnet('d', { tags: {}, isPublic: false }),
    ];
    const { message } = refusalOf(() => chooseSubnets(subnets, asking()));
    for (const why of [
      'a in us-west-2-lax-1a: it is in a Local or Wavelength Zone, where AWS takes no subnet',
      'b in us-west-2a: it has 3 free',
      'c in us-west-2a: it is tagged for another cluster',
      'd in us-west-2a: it has no tag',
    ])
      expect(message).toContain(why);
  });
});

test('role tags of another cluster, or where no NLB fits, hide no public subnets of ours', async () => {
  const { subnets, ...seed } = typicalAccount();
  const roles = { ...ELB, 'kubernetes.io/role/internal-elb': '1' };
  const ours = subnets.map(({ tags: _, ...one }) => one);
  const theirs = {
    id: 'subnet-theirs',
    vpcId: 'vpc-1',
    zone: 'eu-west-1a',
    cidr: '10.0.240.0/24',
    tags: { ...roles, ...THEIRS },
  };
  const local = { ...theirs, id: 'subnet-local', zone: 'eu-west-1-lon-1a', cidr: '10.0.241.0/24', tags: roles };
  const aws = await makeAws({ seed: { ...seed, subnets: [...ours, theirs, local] } });
  const provider = makeProvider(aws);
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
  try {
    await want(provider, nlb());
    const [balancer] = aws.loadBalancers();
    expect(balancer?.zones.map(({ subnetId }) => subnetId)).toEqual(['subnet-public-a', 'subnet-public-b', 'subnet-public-c']);
  } finally {
    await provider.close(0);
    await aws.close();
  }
});

test('nobody speaks of routes that were not read', () => {
  const { isPublic: _, ...unread } = subnet('a', { tags: {} });
  expect(refusalOf(() => chooseSubnets([unread], asking())).message).toMatch(/it has no tag kubernetes.io\/role\/elb(?! and)/);
});

describe('an NLB that serves', () => {
  let aws: SandboxAws;
  let provider: Provider;
  const start = async (): Promise<void> => {
    provider = makeProvider(aws);
    await provider.open({ balancers: [nlb()], surroundings: nothingReserved, changed: () => {} });
  };
  beforeEach(async () => {
    aws = await makeAws();
    await start();
  });
  afterEach(async () => {
    await provider.close(0);
    await aws.close();
  });

  test('keeps a zone whose subnet has become full, also after a start', async () => {
    await want(provider, nlb());
    const before = aws.loadBalancers().map(({ arn, zones }) => [arn, zones.map(({ subnetId }) => subnetId)]);
    aws.world.subnets.get('subnet-public-b')!.free = 2;
    await provider.close(0);
    await start();
    await want(provider, nlb());
    expect(aws.loadBalancers().map(({ arn, zones }) => [arn, zones.map(({ subnetId }) => subnetId)])).toEqual(before);
    await want(provider, nlb({ name: 'next' }));
    const next = aws.loadBalancers().find(({ name }) => name.includes('next'));
    expect(next?.zones.map(({ subnetId }) => subnetId)).toEqual(['subnet-public-a', 'subnet-public-c']);
  });
});
