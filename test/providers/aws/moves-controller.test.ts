import { afterEach, expect, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Running } from '../../controller/running.ts';
import { makeAws, makeProvider } from './stage.ts';
import { runWorkers } from './workers.ts';

let aws: SandboxAws;
let cluster: Running;
afterEach(async () => {
  await cluster.close();
  await aws.close();
});

test('through the controller: a Service that joins a shared NLB has an address all the while', async () => {
  aws = await makeAws({ timings: { activeMs: 200, healthyMs: 200 } });
  cluster = await runWorkers();
  await cluster.start(makeProvider(aws, { graceSeconds: 1 }));
  const isReady = () => cluster.service('web')?.conditions.find(({ type }) => type === CONDITION)?.status === 'True';
  const hostname = () => cluster.service('web')?.ingress[0]?.hostname;
  cluster.create('web');
  await cluster.until('Ready', isReady);
  const before = hostname();
  const seen = new Set<string | undefined>();
  const unwatch = cluster.kube.objects.watch({ resource: 'services' }, () => seen.add(hostname()));
  cluster.patch('web', { metadata: { annotations: { 'nodeport-lb.io/share': 'front' } } });
  await cluster.until('moved', () => hostname() !== before && isReady());
  unwatch();
  expect([...seen].filter((one) => one !== before && one !== hostname())).toEqual([]); // above all, never none
  for (const deadline = Date.now() + 60_000; aws.loadBalancers().length > 1 && Date.now() < deadline; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(aws.loadBalancers()).toHaveLength(1);
  expect(aws.loadBalancers()[0]!.dnsName.toLowerCase()).toBe(hostname());
}, 120_000);
