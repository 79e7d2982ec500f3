import { CreateLoadBalancerCommand, ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import type { Listener } from '../../../src/sandbox/aws/world.ts';
import { nothingReserved } from '../builders.ts';
import { type ChangeStage, commonDoors, makeChangeStage } from './change-stage.ts';
import { asking } from './changes.ts';
import { credentials, nlb, worker } from './stage.ts';

let stage: ChangeStage;
afterEach(() => stage.close());

const tcp = [{ port: 53, nodePort: 30_053 }];
const both = [...tcp, { port: 53, nodePort: 30_053, protocol: 'UDP' as const }];

/** Passes and moments, as many as would have brought a sound change to its end. */
async function work(wish: Balancer): Promise<void> {
  for (let passes = 0; passes < 8; passes += 1) {
    const wanted = stage.provider.adjust(wish, nothingReserved);
    for (const step of stage.provider.plan(wanted, await stage.provider.observe(wanted.key), stage.aws.world.now())) {
      if (step.waitsFor) break;
      await stage.provider.apply(step);
    }
    await stage.pause();
  }
}

describe.each([
  { what: 'another NLB', from: nlb(), to: asking({ scheme: 'internal' }) },
  { what: 'another target group', from: nlb({ ports: tcp }), to: nlb({ ports: both }) },
  { what: 'another nodePort', from: nlb(), to: nlb({ ports: [{ port: 80, nodePort: 31_000 }] }) },
])('$what where nothing answers', ({ from, to }) => {
  test('is not given to clients, also after a restart, until something does', async () => {
    stage = await makeChangeStage();
    await stage.open([]);
    await stage.bring([from]);
    const known = new Set(stage.aws.targetGroups().flatMap(({ targets }) => [...targets.values()]));
    const judge = (health: 'unhealthy' | undefined): void => {
      for (const { targets } of stage.aws.targetGroups())
        for (const one of targets.values()) if (!known.has(one)) one.forced = health;
    };
    const stop = stage.aws.calls.watch(() => judge('unhealthy'));
    stage.expect(commonDoors(from, to));
    await work(to);
    await stage.restart([to]);
    await work(to);
    stage.look('it went on');
    expect(stage.gaps).toEqual([]);
    stop();
    judge(undefined);
    await stage.bring([to]);
    expect(stage.gaps).toEqual([]);
  }, 120_000);
});

describe('an NLB that takes no more targets', () => {
  const crossed = { attributes: 'load_balancing.cross_zone.enabled=true' };
  const nodes = Array.from({ length: 500 }, (_, at) => worker(at + 1));
  const some = nodes.slice(0, 300);
  test.each([
    {
      what: 'nodePort',
      from: asking(crossed, { nodes }),
      to: asking(crossed, { nodes, ports: [{ port: 80, nodePort: 31_000 }] }),
    },
    {
      what: 'nodePort with some room',
      from: asking(crossed, { nodes: some }),
      to: asking(crossed, { nodes: some, ports: [{ port: 80, nodePort: 31_000 }] }),
    },
    { what: 'other nodes', from: asking(crossed, { nodes: some }), to: asking(crossed, { nodes: nodes.slice(200) }) },
    { what: 'target group', from: asking(crossed, { nodes, ports: tcp }), to: asking(crossed, { nodes, ports: both }) },
  ])(
    'changes its $what without a moment in which nothing serves',
    async ({ from, to }) => {
      stage = await makeChangeStage({ seed: typicalAccount({ instances: 500 }) });
      await stage.open([]);
      await stage.bring([from]);
      stage.expect(commonDoors(from, to));
      await stage.bring([to]);
      expect(stage.gaps).toEqual([]);
      const [group] = stage.aws.targetGroups();
      expect(stage.aws.targetsOf(group!.arn)).toHaveLength(to.nodes.length);
    },
    60_000,
  );
});

describe('an NLB that takes no more listeners', () => {
  const others = Array.from({ length: 49 }, (_, at) => ({ port: 1_000 + at, nodePort: 31_000 + at }));
  const from = nlb({ ports: [...tcp, ...others] });
  const to = nlb({ ports: [...both, ...others] });

  test('moves a port to another target group only with consent', async () => {
    stage = await makeChangeStage();
    await stage.open([]);
    await stage.bring([from]);
    const refusal = { code: 'DisruptionNotAllowed', message: expect.stringContaining('50 listeners, as many as it takes') };
    await expect(stage.bring([to])).rejects.toMatchObject(refusal);
    await stage.bring([{ ...to, settings: { ...to.settings, allowDisruption: true } }]);
    const moved = stage.aws.listeners().find(({ port }: Listener) => port === 53);
    expect([moved?.protocol, stage.aws.listeners().length]).toEqual(['TCP_UDP', 50]);
  }, 120_000);

  test('gives a port up for another one', async () => {
    stage = await makeChangeStage();
    await stage.open([]);
    await stage.bring([from]);
    await stage.bring([nlb({ ports: [{ port: 54, nodePort: 30_053 }, ...others] })]);
    expect(stage.aws.listeners().some(({ port }) => port === 54)).toBe(true);
  }, 120_000);
});

test('an NLB that others made takes over, and gives back, without a gap', async () => {
  stage = await makeChangeStage();
  const { aws } = stage;
  const elb = new ElasticLoadBalancingV2Client({ region: aws.region, endpoint: aws.url, credentials });
  const Subnets = ['subnet-public-a', 'subnet-public-b', 'subnet-public-c'];
  const made = await elb.send(new CreateLoadBalancerCommand({ Name: 'theirs', Type: 'network', Subnets }));
  elb.destroy();
  const adopting = asking({ 'nodeport-lb.io/aws-load-balancer-arn': made.LoadBalancers?.[0]?.LoadBalancerArn ?? '' });
  await stage.open([]);
  await stage.bring([nlb()]);
  stage.expect(commonDoors(nlb(), adopting));
  for (const wish of [adopting, nlb()]) await stage.bring([wish]);
  expect(stage.gaps).toEqual([]);
  const left = aws.loadBalancers().map(({ name, listeners }) => [name === 'theirs', listeners.size]);
  expect(left.sort()).toEqual([
    [false, 1],
    [true, 0],
  ]);
}, 120_000);
