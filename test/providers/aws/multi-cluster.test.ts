import {
  DeregisterTargetsCommand,
  ElasticLoadBalancingV2Client,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer, Step } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { type BalancerWish, nothingReserved, refusalOf } from '../builders.ts';
import { drop, pass, reportOf, reportWhen, want } from '../drive.ts';
import { credentials, lastCallCame, makeAws, makeProvider, nlb, worker, workers } from './stage.ts';

const MULTI = 'service.beta.kubernetes.io/aws-load-balancer-multi-cluster-target-group';
const KEY = 'default/web';

let aws: SandboxAws;
let provider: Provider;
let elb: ElasticLoadBalancingV2Client;
let changed: string[];
beforeEach(async () => {
  aws = await makeAws({ seed: typicalAccount({ instances: 6 }) });
  elb = new ElasticLoadBalancingV2Client({ region: aws.region, endpoint: aws.url, credentials });
  await restart([]);
});
afterEach(async () => {
  elb.destroy();
  await provider.close(0);
  await aws.close();
});

async function restart(balancers: readonly Balancer[], parts = {}): Promise<void> {
  await provider?.close(0);
  changed = [];
  provider = makeProvider(aws, parts);
  await provider.open({ balancers, surroundings: nothingReserved, changed: (key) => changed.push(key) });
}

/** Its target groups may have others' targets, too. */
function shared(wish: BalancerWish = {}, more: Readonly<Record<string, string>> = {}): Balancer {
  return nlb(wish, { [MULTI]: 'true', ...more });
}

const idOf = (number: number): string => `i-${number.toString(16).padStart(17, '0')}`;
const onlyGroup = (): string => aws.targetGroups()[0]!.arn;

/** As another cluster, or a person, would. */
async function othersRegister(...numbers: readonly number[]): Promise<void> {
  const Targets = numbers.map((number) => ({ Id: idOf(number), Port: 32_000 }));
  await elb.send(new RegisterTargetsCommand({ TargetGroupArn: onlyGroup(), Targets }));
}

async function othersLeave(...numbers: readonly number[]): Promise<void> {
  const Targets = numbers.map((number) => ({ Id: idOf(number), Port: 32_000 }));
  await elb.send(new DeregisterTargetsCommand({ TargetGroupArn: onlyGroup(), Targets }));
}

/** `NUMBER:PORT` of each target. */
function registered(arn = onlyGroup()): readonly string[] {
  return aws
    .targetsOf(arn)
    .map(({ id, port }) => `${Number.parseInt(id.slice(-4), 16)}:${port}`)
    .sort();
}

function planned(wish: Balancer | undefined, leaving: Balancer['members'] = []): Promise<readonly Step[]> {
  const wanted = wish && provider.adjust(wish, nothingReserved);
  return provider.observe(KEY).then((observed) => provider.plan(wanted, observed, Date.now(), leaving));
}

describe('targets that others registered', () => {
  test('stay when nodes come and go, also when these went while nobody looked', async () => {
    await want(provider, shared());
    await othersRegister(5, 6);
    await want(provider, shared({ nodes: [...workers, worker(4)] }));
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080', '4:30080', '5:32000', '6:32000']);
    await want(provider, shared({ nodes: workers }));
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080', '5:32000', '6:32000']);
    await restart([shared({ nodes: workers.slice(1) })]);
    await want(provider, shared({ nodes: workers.slice(1) }));
    expect(registered()).toEqual(['2:30080', '3:30080', '5:32000', '6:32000']);
  });

  test('stay when the nodePort changes', async () => {
    await want(provider, shared());
    await othersRegister(5);
    await want(provider, shared({ ports: [{ port: 80, nodePort: 31_000 }] }));
    expect(registered()).toEqual(['1:31000', '2:31000', '3:31000', '5:32000']);
  });

  test('stay when the Service is refused and nobody remembers what was wanted of it', async () => {
    await want(provider, shared());
    await othersRegister(5);
    await restart([]);
    const nodes = [...workers.slice(1), worker(4)];
    const goal = ['2:30080', '3:30080', '4:30080', '5:32000'];
    for (const deadline = Date.now() + 60_000; registered().join() !== goal.join() && Date.now() < deadline; ) {
      for (const step of await provider.follow!(KEY, nodes, ['uid-default-web'])) if (!step.waitsFor) await provider.apply(step);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(registered()).toEqual(goal);
    await restart([]);
    await want(provider, shared({ nodes }));
    expect(registered()).toEqual(goal); // it was noted whose they are
  });

  test('are no drift, cause no calls and are in no report, whatever their health is', async () => {
    await want(provider, shared());
    await othersRegister(5, 6);
    await restart([shared()], { closeLookMs: 0 }); // each NLB is looked at closely again and again
    await reportWhen(provider, KEY, ({ targets }) => targets.length > 0);
    await want(provider, shared());
    expect(await planned(shared())).toEqual([]);
    await restart([shared()]);
    await want(provider, shared());
    changed = [];
    await lastCallCame(aws);
    aws.calls.reset();
    await want(provider, shared());
    await lastCallCame(aws);
    expect(aws.calls.counts()).toEqual({});
    expect(changed).toEqual([]);
    const report = await reportOf(provider, KEY);
    expect(report.targets.map(({ node }) => node).sort()).toEqual(['n1', 'n2', 'n3']);
    expect(report.settled).toBe(true);
  });

  test('that are our node at the same port become ours', async () => {
    await want(provider, shared());
    await elb.send(new RegisterTargetsCommand({ TargetGroupArn: onlyGroup(), Targets: [{ Id: idOf(4), Port: 30_080 }] }));
    await want(provider, shared({ nodes: [...workers, worker(4)] }));
    await want(provider, shared());
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080']);
  });

  test('an instance that has left us and that another cluster registers is not ours any more', async () => {
    await want(provider, shared({ nodes: [...workers, worker(4)] }));
    await want(provider, shared());
    await othersRegister(4);
    await restart([shared()]);
    await want(provider, shared({ nodes: workers.slice(0, 2) }));
    expect(registered()).toEqual(['1:30080', '2:30080', '4:32000']);
  });
});

describe('the record of what is ours', () => {
  class Crash extends Error {}

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('survives a crash after step %i, and what is undone meanwhile', async (crashAt) => {
    await want(provider, shared());
    await othersRegister(5, 6);
    let steps = 0;
    const apply = async (step: Step): Promise<void> => {
      await provider.apply(step);
      steps += 1;
      if (steps === crashAt) throw new Crash();
    };
    const changing = want(provider, shared({ nodes: [...workers.slice(1), worker(4)] }), apply);
    await changing.catch((thrown: unknown) => {
      if (!(thrown instanceof Crash)) throw thrown;
    });
    await restart([shared()]); // node 4 has gone again, and nobody knows of it but AWS
    await want(provider, shared());
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080', '5:32000', '6:32000']);
  });

  test('is made when the Service asks for it later, and ends when it does so no longer', async () => {
    await want(provider, nlb());
    await othersRegister(5);
    await restart([shared()]);
    await want(provider, shared());
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080', '5:32000']);
    await want(provider, shared({ nodes: workers.slice(1) }));
    expect(registered()).toEqual(['2:30080', '3:30080', '5:32000']);
    const summaries = (await planned(nlb())).map(({ summary }) => summary);
    expect(summaries).toEqual(expect.arrayContaining([expect.stringMatching(/^all targets of np-.* are this cluster's again/)]));
    await want(provider, nlb());
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080']);
    expect(Object.keys(aws.tagsOf(onlyGroup())).filter((name) => name.includes('own-targets'))).toEqual([]);
  });

  test('holds a thousand instances, and says what does not fit beside the tags of the Service', async () => {
    await provider.close(0);
    await aws.close();
    aws = await makeAws({ seed: typicalAccount({ instances: 450 }) });
    await restart([]);
    const nodes = Array.from({ length: 450 }, (_, at) => worker(at + 1));
    await want(provider, shared({ nodes }));
    expect(registered()).toHaveLength(450);
    await want(provider, shared({ nodes: nodes.slice(0, 2) }));
    expect(registered()).toEqual(['1:30080', '2:30080']);
    const tags = Array.from({ length: 40 }, (_, at) => `t${at}=1`).join();
    const crowded = shared({ nodes }, { 'service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags': tags });
    const refusal = await planned(crowded).catch((thrown: unknown) => thrown);
    expect(refusal).toMatchObject({
      code: 'QuotaExceeded',
      subject: expect.stringMatching(/450 instances takes 11 tags beside 4\d others/),
    });
  });
});

describe('when the Service goes', () => {
  test('nothing is kept where nobody else has targets', async () => {
    await want(provider, shared());
    await drop(provider, KEY);
    expect([aws.loadBalancers(), aws.targetGroups()]).toEqual([[], []]);
  });

  test("only ours are taken out while others' are there; the NLB goes when they have gone", async () => {
    await want(provider, shared());
    await othersRegister(5, 6);
    await expect(drop(provider, KEY)).rejects.toMatchObject({
      code: 'TargetsOfOthers',
      subject: expect.stringMatching(
        /^Target group np-.* stays, as it holds 2 targets that others registered \(i-0+5:32000, i-0+6:32000\)/,
      ),
    });
    const steps = await planned(undefined);
    expect(steps.map(({ summary }) => summary)).toEqual([
      expect.stringMatching(/that its targets change$/),
      expect.stringMatching(/^deregister 3 targets at port 30080 from np-/),
      expect.stringMatching(/^keep the NLB of target group np-.* as long as it holds 2 targets that others registered/),
    ]);
    await expect(drop(provider, KEY)).rejects.toMatchObject({ code: 'TargetsOfOthers' });
    expect(registered()).toEqual(['5:32000', '6:32000']);
    expect(aws.listeners()).toHaveLength(1);
    await othersLeave(5, 6);
    await drop(provider, KEY);
    expect([aws.loadBalancers(), aws.targetGroups()]).toEqual([[], []]);
  });

  test('and serves on from another NLB, ours stay in the old one until clients have been led away', async () => {
    await restart([], { graceSeconds: 300 });
    await want(provider, shared());
    await othersRegister(5);
    const old = onlyGroup();
    const moved = { ...shared(), key: 'default/share:front' };
    await restart([moved], { graceSeconds: 300 });
    const kindsThen = async () => (await planned(undefined)).map(({ kind, waitsFor }) => `${kind} ${waitsFor?.what ?? 'now'}`);
    expect(await kindsThen()).toEqual(['add-tags healthy', 'deregister-targets healthy', 'spare-others healthy']);
    await want(provider, moved);
    const [retire, ...rest] = await planned(undefined);
    expect(rest.map(({ waitsFor }) => waitsFor?.what)).toEqual(['time', 'time', 'time']);
    await provider.apply(retire!);
    expect(await kindsThen()).toEqual(['add-tags time', 'deregister-targets time', 'spare-others time']);
    expect(registered(old)).toEqual(['1:30080', '2:30080', '3:30080', '5:32000']);
  });

  test('a start in the middle knows it, and a Service that comes back gets its targets again', async () => {
    await want(provider, shared());
    await othersRegister(5);
    for (let tries = 0; tries < 2; tries += 1)
      await expect(drop(provider, KEY)).rejects.toMatchObject({ code: 'TargetsOfOthers' });
    expect(registered()).toEqual(['5:32000']);
    await restart([]);
    expect((await planned(undefined)).map(({ kind }) => kind)).toEqual(['spare-others']);
    await restart([shared()]);
    await want(provider, shared());
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080', '5:32000']);
  });

  test('consent deletes it with them', async () => {
    const wish = shared({}, { 'nodeport-lb.io/allow-disruption': 'true' });
    await want(provider, wish);
    await othersRegister(5);
    const steps = await planned(undefined, wish.members);
    expect(steps.map(({ kind }) => kind)).toContain('delete-target-group');
    for (const step of steps) if (!step.waitsFor) await provider.apply(step);
    expect([aws.loadBalancers(), aws.targetGroups()]).toEqual([[], []]);
  });

  test('retain leaves all of it, and none of our marks', async () => {
    const wish = shared();
    await want(provider, { ...wish, settings: { ...wish.settings, retain: true } });
    await othersRegister(5);
    await drop(provider, KEY);
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080', '5:32000']);
    expect(Object.keys(aws.tagsOf(onlyGroup())).filter((name) => name.startsWith('nodeport-lb.io/'))).toEqual([]);
  });
});

describe('a target group that is replaced', () => {
  test("stays as long as others' targets are in it, and the plan says so", async () => {
    await want(provider, shared({ ports: [{ port: 80 }, { port: 81, nodePort: 30_081 }] }));
    const second = aws.targetGroups().find(({ port }) => port === 30_081)!.arn;
    const Targets = [{ Id: idOf(5), Port: 32_000 }];
    await elb.send(new RegisterTargetsCommand({ TargetGroupArn: second, Targets }));
    await restart([shared()]);
    const wanted = provider.adjust(shared(), nothingReserved);
    for (let passes = 0; passes < 3; passes += 1) {
      for (const step of provider.plan(wanted, await provider.observe(KEY), Date.now())) {
        if (step.waitsFor) break;
        await provider.apply(step);
      }
    }
    expect(aws.listeners().map(({ port }) => port)).toEqual([80]);
    expect(registered(second)).toContain('5:32000');
    const [left] = await planned(shared());
    expect(left).toMatchObject({ kind: 'delete-target-group', waitsFor: { what: 'time' } });
    expect(left?.summary).toMatch(/once it is without a target that others registered \(i-0+5:32000\)$/);
  });
});

test('a value that is neither true nor false is refused', () => {
  expect(refusalOf(() => provider.adjust(nlb({}, { [MULTI]: 'yes!' }), nothingReserved))).toMatchObject({
    code: 'AnnotationInvalid',
  });
});

test('without it, targets that others register are drift', async () => {
  await want(provider, nlb());
  await othersRegister(5);
  await restart([nlb()], { closeLookMs: 0 });
  await reportWhen(provider, KEY, ({ targets }) => targets.some(({ node }) => node === idOf(5)));
  const wanted = provider.adjust(nlb(), nothingReserved);
  await pass(provider, KEY, wanted);
  expect(registered()).toEqual(['1:30080', '2:30080', '3:30080']);
});
