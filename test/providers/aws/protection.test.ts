import { ElasticLoadBalancingV2Client, ModifyLoadBalancerAttributesCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import type { Balancer, Step } from '../../../src/model.ts';
import type { Observed } from '../../../src/providers/aws/picture.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Running } from '../../controller/running.ts';
import { nothingReserved } from '../builders.ts';
import { want } from '../drive.ts';
import { credentials, makeAws, makeProvider, nlb } from './stage.ts';
import { runWorkers } from './workers.ts';

const ATTRIBUTES = 'service.beta.kubernetes.io/aws-load-balancer-attributes';
const on = { [ATTRIBUTES]: 'deletion_protection.enabled=true' };
const off = { [ATTRIBUTES]: 'deletion_protection.enabled=false' };

let aws: SandboxAws;
let provider: Provider<Observed>;
let cluster: Running | undefined;
beforeEach(async () => {
  aws = await makeAws();
  provider = await open([]);
});
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
  await provider.close(0);
  await aws.close();
});

async function open(balancers: readonly Balancer[]): Promise<Provider<Observed>> {
  const opened = makeProvider(aws);
  await opened.open({ balancers, surroundings: nothingReserved, changed: () => {} });
  return opened;
}

/** By hand, as an operator would. */
async function protect(): Promise<void> {
  const elb = new ElasticLoadBalancingV2Client({ region: aws.region, endpoint: aws.url, credentials });
  const Attributes = [{ Key: 'deletion_protection.enabled', Value: 'true' }];
  for (const { arn } of aws.loadBalancers()) {
    await elb.send(new ModifyLoadBalancerAttributesCommand({ LoadBalancerArn: arn, Attributes }));
  }
  elb.destroy();
}

describe('an NLB that is protected, and whose Service is being deleted', () => {
  const removal = async (says: Readonly<Record<string, string>>): Promise<readonly Step[]> =>
    provider.plan(undefined, await provider.observe('default/web'), Date.now(), nlb({}, says).members);
  const remove = async (says: Readonly<Record<string, string>>): Promise<void> => {
    for (const step of await removal(says)) await provider.apply(step);
  };

  test('stays, until the Service asks for the protection to go', async () => {
    await want(provider, nlb({}, on));
    await expect(remove(on)).rejects.toMatchObject({ code: 'DeletionProtected' });
    await expect(remove({})).rejects.toMatchObject({ code: 'DeletionProtected' });
    expect(aws.loadBalancers()).toHaveLength(1);
    await remove(off);
    expect(aws.leftovers()).toMatchObject({ loadBalancers: [], targetGroups: [], securityGroups: [], rules: [] });
  });

  test('is freed after a restart, too, when nobody has read its attributes', async () => {
    await want(provider, nlb({}, on));
    await provider.close(0);
    provider = await open([]);
    const [first] = await removal(off);
    expect(first).toMatchObject({ kind: 'set-balancer-attributes', reason: 'the Service asks for it' });
    await remove(off);
    expect(aws.loadBalancers()).toEqual([]);
  });

  test('is freed though somebody else protected it, and we knew nothing of that', async () => {
    await want(provider, nlb({}, off));
    await protect();
    await expect(remove(off)).rejects.toMatchObject({ code: 'DeletionProtected' }); // and AWS is believed from then on
    await remove(off);
    expect(aws.loadBalancers()).toEqual([]);
  });

  test('nothing is asked of AWS for a protection that was never on', async () => {
    await want(provider, nlb({}, off));
    expect((await removal(off)).map(({ kind }) => kind)).not.toContain('set-balancer-attributes');
  });
});

test('a protected NLB that has been replaced goes when the Service asks for that', async () => {
  const internal = { 'service.beta.kubernetes.io/aws-load-balancer-scheme': 'internal' };
  await want(provider, nlb({}, on));
  await expect(want(provider, nlb({}, { ...on, ...internal }))).rejects.toMatchObject({ code: 'DeletionProtected' });
  await want(provider, nlb({}, { ...off, ...internal }));
  expect(aws.loadBalancers().map(({ scheme }) => scheme)).toEqual(['internal']);
});

test('through the controller: the annotation on the Service that hangs lets it go', async () => {
  cluster = await runWorkers();
  await cluster.start(makeProvider(aws));
  const web = () => cluster?.service('web')?.conditions.find(({ type }) => type === CONDITION);
  cluster.create('web', {}, { annotations: on });
  await cluster.until('Ready', () => web()?.status === 'True');
  cluster.remove('web');
  await cluster.until('told why', () => web()?.reason === 'DeletionProtected');
  expect(aws.loadBalancers()).toHaveLength(1);
  cluster.patch('web', { metadata: { annotations: off } });
  await cluster.until('gone', () => cluster?.service('web') === undefined);
  expect(aws.loadBalancers()).toEqual([]);
}, 120_000);
