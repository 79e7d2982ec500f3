import { CreateTargetGroupCommand, ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer, Share, Step } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { nothingReserved, refusalOf } from '../builders.ts';
import { drop, reportOf, want } from '../drive.ts';
import { asking, sharing } from './changes.ts';
import { credentials, lastCallCame, makeAws, makeProvider, nlb, workers } from './stage.ts';

const KEY = 'default/web';
const certificate = 'arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000001';
const toCanary = sharing({ others: { canary: { weight: 10 } } });

let aws: SandboxAws;
let provider: Provider;
beforeEach(async () => {
  aws = await makeAws();
  await restart([]);
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

async function restart(balancers: readonly Balancer[]): Promise<void> {
  await provider?.close(0);
  provider = makeProvider(aws);
  await provider.open({ balancers, surroundings: nothingReserved, changed: () => {} });
}

async function planned(wish: Balancer): Promise<readonly Step[]> {
  const observed = await provider.observe(KEY);
  return provider.plan(provider.adjust(wish, nothingReserved), observed, Date.now());
}

const groupAt = (port: number) => aws.targetGroups().find((group) => group.port === port);
const registered = (port: number) => aws.targetsOf(groupAt(port)!.arn).map((target) => target.port);

/** NodePort, or ARN of a group that is not ours, to weight. */
function weights(port = 80): unknown {
  const forward = aws.listeners().find((one) => one.port === port)?.forward ?? [];
  const ports = new Map(aws.targetGroups().map((group) => [group.arn, group.port]));
  return forward.map(({ arn, weight }) => [ports.get(arn), weight]);
}

/** Adds to the shares of port 80. */
function withShare(made: Balancer, share: Share): Balancer {
  const listeners = made.listeners.map((one) =>
    one.spread ? { ...one, spread: { ...one.spread, others: [...one.spread.others, share] } } : one,
  );
  return { ...made, listeners };
}

/** Of port 443, whose listener ends TLS. */
function tls(more: Parameters<typeof sharing>[0], annotations: Readonly<Record<string, string>> = {}): Balancer {
  const made = sharing(more, asking({ 'ssl-cert': certificate, ...annotations }));
  const members = made.members.map((member) => ({
    ...member,
    annotations: {
      ...asking({ 'ssl-cert': certificate, ...annotations }).members[0]!.annotations,
      'service.beta.kubernetes.io/actions.TLS-80': '',
    },
  }));
  return { ...made, members };
}

describe('connections shared out by weight', () => {
  test('every node is a target of both Services, at the nodePort of each', async () => {
    await want(provider, toCanary);
    expect(weights()).toEqual([
      [30_080, 90],
      [31_081, 10],
    ]);
    expect(registered(30_080)).toEqual([30_080, 30_080, 30_080]);
    expect(registered(31_081)).toEqual([31_081, 31_081, 31_081]);
    expect(aws.tagsOf(groupAt(31_081)!.arn)).toMatchObject({
      'nodeport-lb.io/balancer': KEY,
      'nodeport-lb.io/listener': '80/TCP@canary:81',
      'nodeport-lb.io/service-uids': 'uid-default-web',
    });
    const report = await reportOf(provider, KEY);
    expect(report.listeners).toEqual([{ uid: 'uid-default-web', port: 80, protocol: 'TCP' }]);
    expect(report.settled).toBe(true);
  });

  test('the nodes admit the NLB at both', async () => {
    await want(provider, toCanary);
    const nodes = aws.securityGroups().find(({ name }) => name === 'nodes')!;
    const ranges = [...nodes.rules.values()].filter(({ egress, peer }) => !egress && peer.value.startsWith('sg-'));
    for (const port of [30_080, 31_081])
      expect(ranges.some(({ fromPort, toPort }) => fromPort! <= port && port <= toPort!)).toBe(true);
  });

  test('other weights are one call in place; the plan says which, and that weight 0 cuts', async () => {
    await want(provider, toCanary);
    const before = aws.targetGroups().map(({ arn }) => arn);
    const next = sharing({ weight: 50, others: { canary: { weight: 50 } } });
    const steps = await planned(next);
    const change = steps.find(({ kind }) => kind === 'change-listener')!;
    expect(change).toMatchObject({ disrupts: false, reason: 'the Service has changed' });
    expect(change.call).toMatch(
      /^elasticloadbalancing:ModifyListener .*TargetGroups=np-default-web-\w+:50,np-default-web-\w+:50/,
    );
    aws.calls.reset();
    await want(provider, next);
    expect(aws.calls.counts()).toMatchObject({ ModifyListener: 1 });
    expect(aws.calls.counts()).not.toHaveProperty('CreateListener');
    expect(weights()).toEqual([
      [30_080, 50],
      [31_081, 50],
    ]);
    expect(aws.targetGroups().map(({ arn }) => arn)).toEqual(before);
    const off = await planned(sharing({ weight: 0, others: { canary: { weight: 50 } } }));
    expect(off.find(({ kind }) => kind === 'change-listener')?.disrupts).toBe(true);
  });

  test('the other nodePort of the other Service is registered beside the one before, in place', async () => {
    await want(provider, toCanary);
    const { arn } = groupAt(31_081)!;
    await want(provider, sharing({ others: { canary: { weight: 10, nodePort: 31_999 } } }));
    expect(new Set(aws.targetsOf(arn).map(({ port }) => port))).toEqual(new Set([31_999]));
  });

  test('a start that finds all as it is wanted changes nothing, and a node that comes is a target of both', async () => {
    await want(provider, toCanary);
    await restart([toCanary]);
    await lastCallCame(aws);
    expect(await planned(toCanary)).toEqual([]);
    const fewer = { ...toCanary, nodes: workers.slice(1) };
    await want(provider, fewer);
    expect([registered(30_080).length, registered(31_081).length]).toEqual([2, 2]);
  });

  test('weights that somebody else has changed are put right', async () => {
    await want(provider, toCanary);
    const listener = aws.listeners().find(({ port }) => port === 80)!;
    listener.forward = listener.forward.map(({ arn }) => ({ arn, weight: 1 }));
    aws.world.tags.get(aws.loadBalancers()[0]!.arn)!.set('nodeport-lb.io/applied', 'changing'); // so that the next start looks closer
    await restart([toCanary]);
    await want(provider, toCanary);
    expect(weights()).toEqual([
      [30_080, 90],
      [31_081, 10],
    ]);
  });

  test('TCP and UDP on one port go to one nodePort of each Service', async () => {
    const ports = [{ port: 80 }, { port: 80, protocol: 'UDP' as const }];
    const made = sharing({ others: { canary: { weight: 10 } } }, nlb({ ports }));
    const annotations = { 'service.beta.kubernetes.io/actions.TCP_UDP-80': '' };
    const both = { ...made, members: made.members.map((member) => ({ ...member, annotations })) };
    await want(provider, both);
    expect(aws.targetGroups().map(({ protocol }) => protocol)).toEqual(['TCP_UDP', 'TCP_UDP']);
    expect(aws.tagsOf(groupAt(31_081)!.arn)['nodeport-lb.io/listener']).toBe('80/TCP@canary:81 80/UDP@canary:81');
    const other = sharing({ others: { canary: { weight: 10, nodePort: 31_999 } } }, nlb({ ports })).listeners[1]!;
    const apart = { ...both, listeners: [both.listeners[0]!, other] };
    expect(refusalOf(() => provider.adjust(apart, nothingReserved))).toEqual({
      code: 'AnnotationInvalid',
      message: expect.stringMatching(/TCP and UDP have different nodePorts in Service canary:81/),
    });
  });

  test('others may register targets in each target group, where the Service says so', async () => {
    const multi = asking({ 'multi-cluster-target-group': 'true' });
    await want(provider, sharing({ others: { canary: { weight: 10 } } }, multi));
    for (const port of [30_080, 31_081]) expect(aws.tagsOf(groupAt(port)!.arn)).toHaveProperty(['nodeport-lb.io/own-targets']);
  });

  test('nothing is left when the Service goes, or when it shares no more', async () => {
    await want(provider, toCanary);
    await want(provider, nlb());
    expect([weights(), aws.targetGroups().length]).toEqual([[[30_080, undefined]], 1]);
    await want(provider, toCanary);
    await drop(provider, KEY);
    expect([aws.loadBalancers(), aws.listeners(), aws.targetGroups()]).toEqual([[], [], []]);
  });
});

describe('a target group that others made', () => {
  async function makeGroup(Protocol: 'TCP' | 'UDP' = 'TCP'): Promise<string> {
    const elb = new ElasticLoadBalancingV2Client({ region: aws.region, endpoint: aws.url, credentials });
    const VpcId = aws.loadBalancers()[0]?.vpcId ?? [...aws.world.vpcs.keys()][0]!;
    const answer = await elb.send(new CreateTargetGroupCommand({ Name: 'theirs', Protocol, Port: 9000, VpcId }));
    elb.destroy();
    return answer.TargetGroups![0]!.TargetGroupArn!;
  }

  test('gets its share, no target and no tag of ours, and stays', async () => {
    const arn = await makeGroup();
    const shared = withShare(toCanary, { weight: 5, id: arn });
    await want(provider, shared);
    expect(weights()).toEqual([
      [30_080, 90],
      [31_081, 10],
      [9000, 5],
    ]);
    await restart([shared]);
    expect(await planned(shared)).toEqual([]);
    await want(provider, toCanary);
    await want(provider, shared);
    await drop(provider, KEY);
    expect(aws.targetGroups().map((group) => group.arn)).toEqual([arn]);
    expect([aws.targetsOf(arn), aws.tagsOf(arn)]).toEqual([[], {}]);
  });

  test('that cannot be used is named', async () => {
    const arn = await makeGroup('UDP');
    await expect(want(provider, withShare(toCanary, { weight: 5, id: arn }))).rejects.toMatchObject({
      code: 'AwsResourceUnknown',
      message: expect.stringContaining(arn),
    });
  });
});

describe('what an NLB cannot do is refused by name', () => {
  const affine = sharing({ sticky: false, others: { canary: { weight: 10, affinitySeconds: 60 } } });
  const decrypted = (made: Balancer): Balancer => ({
    ...made,
    listeners: made.listeners.map((one) => ({
      ...one,
      ...(one.spread
        ? { spread: { ...one.spread, others: one.spread.others.map((share) => ({ ...share, decrypt: true })) } }
        : {}),
    })),
  });

  test.each<{ why: string; wish: Balancer; code: string; says: RegExp }>([
    {
      why: 'the listener ends TLS, and the annotation says TCP',
      wish: sharing({ others: { canary: { weight: 10 } } }, asking({ 'ssl-cert': certificate })),
      code: 'AnnotationInvalid',
      says: /port 80\/TCP: .*actions\.TCP-80: the listener of that port is TLS/,
    },
    {
      why: 'clients that stay, with TLS',
      wish: tls({ sticky: true, others: { canary: { weight: 10 } } }),
      code: 'NotSupported',
      says: /actions\.TLS-80: .*enabled: an NLB does not keep clients of a TLS listener/,
    },
    {
      why: 'affinity, and clients that shall not stay',
      wish: affine,
      code: 'AnnotationInvalid',
      says: /targetGroupStickinessConfig\.enabled must be true: a target group has stickiness\.enabled/,
    },
    {
      why: 'decrypt without TLS',
      wish: decrypted(toCanary),
      code: 'AnnotationInvalid',
      says: /\[0\]\.decrypt: the listener of that port is TCP/,
    },
    {
      why: 'decrypt beside TLS to the targets',
      wish: decrypted(tls({ others: { canary: { weight: 10 } } }, { 'backend-protocol': 'ssl' })),
      code: 'AnnotationInvalid',
      says: /one protocol.*backend-protocol says ssl/,
    },
  ])('$why', ({ wish, code, says }) => {
    expect(refusalOf(() => provider.adjust(wish, nothingReserved))).toEqual({ code, message: expect.stringMatching(says) });
  });

  test('with TLS all targets get TCP, or all of them TLS', async () => {
    await want(provider, tls({ others: { canary: { weight: 10 } } }));
    expect(aws.targetGroups().map(({ protocol }) => protocol)).toEqual(['TCP', 'TCP']);
    await want(provider, tls({ others: { canary: { weight: 10 } } }, { 'backend-protocol': 'ssl' }));
    expect(aws.targetGroups().map(({ protocol }) => protocol)).toEqual(['TLS', 'TLS']);
    expect(weights()).toEqual([
      [30_080, 90],
      [31_081, 10],
    ]);
  });
});
