import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import { TAG } from '../../../src/providers/aws/names.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Running } from '../../controller/running.ts';
import { nothingReserved, refusalOf } from '../builders.ts';
import { want } from '../drive.ts';
import { makeAws, makeProvider, nlb } from './stage.ts';
import { runWorkers } from './workers.ts';

jest.setTimeout(120_000); // a controller at work, on a machine that may be busy

/** Names and fixed addresses belong to one NLB at a time: whoever has to wait for them is told, and waits no longer than they are taken. */
const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let cluster: Running;

beforeEach(async () => {
  aws = await makeAws();
  cluster = await runWorkers();
});
afterEach(async () => {
  await cluster.close();
  await aws.close();
});

const condition = (name: string) => cluster.service(name)?.conditions.find(({ type }) => type === CONDITION);
const arnOf = (name: string): string => aws.loadBalancers().find((one) => one.name === name)?.arn ?? '';
const named = (name: string, scheme = 'internal') => ({
  metadata: { annotations: { [`${AWS}name`]: name, [`${AWS}scheme`]: scheme } },
});

async function reach(what: string): Promise<void> {
  const seen = (): string =>
    aws
      .loadBalancers()
      .map(({ name, scheme }) => `${name} ${scheme}`)
      .sort()
      .join(', ');
  for (const deadline = Date.now() + 60_000; seen() !== what; ) {
    if (Date.now() > deadline) throw new Error(`the NLBs stay ${seen()}, not ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a name that a replaced NLB still has is refused with the time when it is free', async () => {
  const provider = makeProvider(aws, { graceSeconds: 300 });
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
  const asking = (name: string, scheme: string) => nlb({}, named(name, scheme).metadata.annotations);
  await want(provider, asking('shop', 'internal'));
  const next = provider.adjust(asking('store', 'internet-facing'), nothingReserved);
  for (const deadline = Date.now() + 60_000; aws.tagsOf(arnOf('shop'))[TAG.retired] === undefined && Date.now() < deadline; ) {
    for (const step of provider.plan(next, await provider.observe(next.key), Date.now())) {
      if (step.waitsFor) break;
      await provider.apply(step);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { code, message } = refusalOf(() => provider.adjust(asking('shop', 'internet-facing'), nothingReserved));
  expect(code).toBe('DisruptionNotAllowed');
  const [, at = ''] =
    /NLB shop has been replaced and goes at (\S+Z), .*by itself then .*both would be called shop/.exec(message) ?? [];
  expect(Date.parse(at) - Number(aws.tagsOf(arnOf('shop'))[TAG.retired])).toBeGreaterThan(298_000);
  await provider.close(0);
});

test('and is taken then, though nobody touches the Service', async () => {
  await cluster.start(makeProvider(aws, { graceSeconds: 2 }));
  cluster.create('web', {}, named('shop').metadata);
  await cluster.until('Ready', () => condition('web')?.status === 'True');
  cluster.patch('web', named('store', 'internet-facing'));
  await cluster.until('elsewhere', () => cluster.service('web')?.ingress[0]?.hostname?.startsWith('store') === true);
  cluster.patch('web', named('shop', 'internet-facing')); // while the old one is there, unless the machine is very slow
  await cluster.until('back', () => cluster.service('web')?.ingress[0]?.hostname?.startsWith('shop') === true);
  await reach('shop internet-facing');
});

test('a name that another Service’s NLB has is taken as soon as that has gone', async () => {
  await cluster.start(makeProvider(aws));
  cluster.create('first', {}, named('shop').metadata);
  await cluster.until('Ready', () => condition('first')?.status === 'True');
  cluster.create('second', {}, named('shop').metadata);
  await cluster.until('refused', () => condition('second')?.reason === 'AwsNameInUse');
  expect(condition('second')?.message).toMatch(/NLB shop is the balancer of default\/first/);
  cluster.remove('first');
  await cluster.until('Ready, too', () => condition('second')?.status === 'True');
  await reach('shop internal');
});
