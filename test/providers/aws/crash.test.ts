import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer, Step } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalInstance } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved } from '../builders.ts';
import { drop, pass, reportWhen } from '../drive.ts';
import { sharing } from './changes.ts';
import { makeAws, makeProvider, nlb, worker, workers } from './stage.ts';

/** Everything in the account that a user would see, without what AWS makes up. */
function stateOf(aws: SandboxAws): unknown {
  const groupNames = new Map(aws.targetGroups().map((group) => [group.arn, group.name]));
  const groupIds = new Map(aws.securityGroups().map((group) => [group.id, group.name]));
  return {
    balancers: aws
      .loadBalancers()
      .map(({ name, scheme, securityGroups }) => [name, scheme, securityGroups.map((id) => groupIds.get(id))]),
    listeners: aws
      .listeners()
      .map(({ port, protocol, forward, sticky }) => [
        port,
        protocol,
        sticky,
        ...forward.map(({ arn, weight }) => `${groupNames.get(arn)} ${weight}`),
      ])
      .sort(),
    groups: aws
      .targetGroups()
      .map(({ arn, name }) => [
        name,
        aws
          .targetsOf(arn)
          .map(({ id, port }) => `${id}:${port}`)
          .sort(),
      ])
      .sort(),
    rules: aws.securityGroups().map(({ name, rules }) => [
      name,
      [...rules.values()]
        .filter(({ egress }) => !egress)
        .map((rule) => `${rule.protocol} ${rule.fromPort}-${rule.toPort} ${groupIds.get(rule.peer.value) ?? rule.peer.value}`)
        .sort(),
    ]),
    tags: [...aws.loadBalancers(), ...aws.targetGroups()]
      .map(({ arn }) => JSON.stringify(Object.entries(aws.tagsOf(arn)).sort()))
      .sort(),
  };
}

const two = [
  { port: 80, nodePort: 30_080 },
  { port: 443, nodePort: 30_443 },
];
const dns = [
  { port: 53, nodePort: 30_053 },
  { port: 53, nodePort: 30_053, protocol: 'UDP' as const },
];
const internal = { 'service.beta.kubernetes.io/aws-load-balancer-scheme': 'internal' };
const proxied = { 'service.beta.kubernetes.io/aws-load-balancer-target-group-attributes': 'proxy_protocol_v2.enabled=true' };
const idle = { 'service.beta.kubernetes.io/aws-load-balancer-listener-attributes.TCP-80': 'tcp.idle_timeout.seconds=400' };

const stories: readonly { readonly what: string; readonly from?: Balancer; readonly to?: Balancer }[] = [
  { what: 'made', to: nlb({ ports: two }, { ...proxied, ...idle }) },
  { what: 'given another nodePort', from: nlb(), to: nlb({ ports: [{ port: 80, nodePort: 31_000 }] }) },
  { what: 'given UDP beside TCP', from: nlb({ ports: dns.slice(0, 1) }), to: nlb({ ports: dns }) },
  { what: 'given another scheme', from: nlb(), to: nlb({}, internal) },
  {
    what: 'given other ports and nodes',
    from: nlb({ ports: two }),
    to: nlb({ ports: [{ port: 8080 }], nodes: workers.slice(1) }),
  },
  { what: 'taken away', from: nlb({ ports: two }) },
  {
    what: 'given other shares, with clients that stay',
    from: sharing({ others: { canary: { weight: 10 } } }),
    to: sharing({
      weight: 50,
      sticky: true,
      others: { canary: { weight: 40, nodePort: 31_999 }, green: { weight: 10, nodePort: 31_082 } },
    }),
  },
  { what: 'made with shares', to: sharing({ others: { canary: { weight: 10 } } }) },
  { what: 'taken away with its shares', from: sharing({ others: { canary: { weight: 10 } } }) },
];

let aws: SandboxAws;
let provider: Provider;
beforeEach(async () => {
  aws = await makeAws();
  provider = makeProvider(aws);
  await open([]);
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

async function open(balancers: readonly Balancer[]): Promise<void> {
  await provider.open({ balancers, surroundings: nothingReserved, changed: () => {} });
}

async function crash(recorded: Balancer | undefined): Promise<void> {
  await provider.close(0);
  provider = makeProvider(aws);
  await open(recorded ? [recorded] : []);
}

class Crash extends Error {}

/** Works towards the end of the story; dies after the step of that number, counted from 1. @returns how many steps were made */
async function tell(to: Balancer | undefined, from: Balancer | undefined, crashAt: number): Promise<number> {
  const key = (to ?? from)!.key;
  let steps = 0;
  for (;;) {
    try {
      const wanted = to && provider.adjust(to, nothingReserved);
      const apply = async (step: Step): Promise<void> => {
        await provider.apply(step);
        steps += 1;
        if (steps === crashAt) throw new Crash();
      };
      await pass(provider, key, wanted, apply);
      await reportWhen(provider, key, ({ settled, gone }) => (to ? settled : gone));
      const left = wanted ? provider.plan(wanted, await provider.observe(key), Date.now()) : [];
      if (left.length === 0) return steps;
    } catch (thrown) {
      if (!(thrown instanceof Crash)) throw thrown;
      await crash(to);
    }
  }
}

describe.each(stories)('a balancer that is $what', ({ from, to }) => {
  test('ends the same, whichever step the process dies after', async () => {
    if (from) await tell(from, undefined, 0);
    const count = await tell(to, from, 0);
    const expected = stateOf(aws);
    expect(count).toBeGreaterThan(0);
    for (let crashAt = 1; crashAt <= count; crashAt += 1) {
      await drop(provider, (to ?? from)!.key);
      expect(aws.leftovers()).toMatchObject({
        loadBalancers: [],
        targetGroups: [],
        listeners: [],
        securityGroups: [],
        rules: [],
      });
      if (from) await tell(from, undefined, 0);
      await tell(to, from, crashAt);
      expect(stateOf(aws)).toEqual(expected);
    }
  }, 120_000);

  test('ends the same when every first answer is lost', async () => {
    if (from) await tell(from, undefined, 0);
    await tell(to, from, 0);
    const expected = stateOf(aws);
    await drop(provider, (to ?? from)!.key);
    if (from) await tell(from, undefined, 0);
    const actions = Object.keys(aws.calls.counts()).filter((action) => !action.startsWith('Describe'));
    for (const action of actions) aws.inject({ action, cut: 'after', times: 1 });
    await tell(to, from, 0);
    expect(stateOf(aws)).toEqual(expected);
  }, 120_000);
});

describe('a change that is cut off by a crash and undone in the cluster before the next start', () => {
  const plain = nlb();
  test.each([
    { what: 'a node that came', during: nlb({ nodes: [...workers, worker(4)] }) },
    { what: 'a node that left', during: nlb({ nodes: workers.slice(1) }) },
    { what: 'another nodePort', during: nlb({ ports: [{ port: 80, nodePort: 31_000 }] }) },
    { what: 'another port', during: nlb({ ports: [{ port: 80 }, { port: 81 }] }) },
  ])(
    'leaves nothing of $what behind, whichever step the process died after',
    async ({ during }) => {
      aws.addInstance(typicalInstance(4));
      await tell(plain, undefined, 0);
      const expected = stateOf(aws);
      for (let crashAt = 1; ; crashAt += 1) {
        const died = await dieAfter(during, crashAt);
        await crash(plain);
        await tell(plain, undefined, 0);
        expect(stateOf(aws)).toEqual(expected);
        if (!died) return;
      }
    },
    30_000,
  );

  /** @returns whether there was such a step */
  async function dieAfter(wish: Balancer, count: number): Promise<boolean> {
    let steps = 0;
    const wanted = provider.adjust(wish, nothingReserved);
    const apply = async (step: Step): Promise<void> => {
      await provider.apply(step);
      steps += 1;
      if (steps === count) throw new Crash();
    };
    try {
      await pass(provider, wanted.key, wanted, apply);
      return false;
    } catch (thrown) {
      if (!(thrown instanceof Crash)) throw thrown;
      return true;
    }
  }
});
