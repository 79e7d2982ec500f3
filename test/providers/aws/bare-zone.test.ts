import { afterEach, expect, test } from '@jest/globals';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { type ChangeStage, commonDoors, makeChangeStage } from './change-stage.ts';
import { asking } from './changes.ts';

let stage: ChangeStage;
afterEach(() => stage.close());

/** An account whose first zone has no IPv6. */
function account() {
  const { subnets, ...seed } = typicalAccount();
  return {
    ...seed,
    subnets: subnets.map(({ ipv6Cidr, ...one }) =>
      one.zone.endsWith('a') ? one : { ...one, ...(ipv6Cidr ? { ipv6Cidr } : {}) },
    ),
  };
}

const udp = [{ port: 53, nodePort: 30_053, protocol: 'UDP' as const }];
const dual = { 'ip-address-type': 'dualstack' };
const nat = { 'enable-prefix-for-ipv6-source-nat': 'on' };

test.each([
  { what: 'found by their tags', from: asking({}), to: asking(dual), zones: ['b', 'c'] },
  {
    what: 'exchanged',
    from: asking({ subnets: 'public-a,public-b' }),
    to: asking({ ...dual, subnets: 'public-b,public-c' }),
    zones: ['b', 'c'],
  },
  { what: 'all exchanged', from: asking({ subnets: 'public-a' }), to: asking({ ...dual, subnets: 'public-c' }), zones: ['c'] },
  {
    what: 'exchanged, with UDP',
    from: asking({}, { ports: udp }),
    to: asking({ ...dual, ...nat }, { ports: udp }),
    zones: ['b', 'c'],
  },
])('dualstack comes when the zone without IPv6 goes: subnets $what', async ({ from, to, zones }) => {
  stage = await makeChangeStage({ seed: account() });
  await stage.open([]);
  await stage.bring([from]);
  stage.expect(commonDoors(from, to));
  await stage.bring([to]);
  expect(stage.gaps).toEqual([]);
  const [balancer] = stage.aws.loadBalancers();
  expect(balancer?.addressType).toBe('dualstack');
  expect(balancer?.zones.map(({ subnetId }) => subnetId)).toEqual(zones.map((letter) => `subnet-public-${letter}`));
  expect(stage.writes.filter((action) => action === 'CreateLoadBalancer')).toHaveLength(1);
});
