import { describe, expect, test } from '@jest/globals';
import { findMoves } from '../../../src/providers/aws/moves.ts';
import { TAG } from '../../../src/providers/aws/names.ts';
import type { SeenBalancer, SeenGroup } from '../../../src/providers/aws/picture.ts';
import { makeWish } from '../../../src/providers/aws/wish.ts';
import { nlb } from './stage.ts';

const web = nlb();
const SHARE = 'default/share:front';

describe('a Service that joins another NLB with shares by weight', () => {
  const group = (key: string, listener: string, state: string): SeenGroup => ({
    arn: `${key} ${listener}`,
    name: `${key} ${listener}`,
    protocol: 'TCP',
    port: 30_080,
    vpcId: 'vpc-1',
    ipAddressType: 'ipv4',
    check: {
      protocol: 'TCP',
      port: 'traffic-port',
      intervalSeconds: 10,
      timeoutSeconds: 10,
      healthyThreshold: 3,
      unhealthyThreshold: 3,
    },
    balancerArns: [key],
    tags: { [TAG.balancer]: key, [TAG.listener]: listener, [TAG.services]: 'uid-default-web' },
    targets: [{ id: 'i-1', port: 30_080, state }],
    healthAt: 0,
  });
  const balancer = (key: string): SeenBalancer => ({
    arn: key,
    name: key,
    dnsName: `${key}.test`,
    scheme: 'internal',
    ipAddressType: 'ipv4',
    state: 'active',
    vpcId: 'vpc-1',
    zones: [],
    securityGroups: [],
    createdAt: 0,
    tags: { [TAG.balancer]: key },
  });

  test.each([
    { state: 'initial', isServed: false },
    { state: 'unhealthy', isServed: false },
    { state: 'healthy', isServed: true },
  ])('goes there when the targets of the other Service are healthy, too: $state', ({ state, isServed }) => {
    const [own, canary] = ['80/TCP=uid-default-web', '80/TCP@canary:80'] as const;
    const groups = [
      group(web.key, own, 'healthy'),
      group(web.key, canary, 'healthy'),
      group(SHARE, own, 'healthy'),
      group(SHARE, canary, state),
    ];
    const seen = {
      balancers: new Map([web.key, SHARE].map((key) => [key, balancer(key)])),
      groups: new Map(groups.map((one) => [one.arn, one])),
    };
    const wishes = new Map([[SHARE, makeWish({ ...web, key: SHARE })]]);
    expect(findMoves(web.key, { wishes, seen }).moves).toMatchObject([{ uid: 'uid-default-web', isServed }]);
  });
});
