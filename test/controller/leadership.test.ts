import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { CONDITION } from '../../src/controller/claim.ts';
import type { Step } from '../../src/model.ts';
import { MemoryCloud, MemoryProvider } from './memory-provider.ts';
import { type Running, runSandbox } from './running.ts';

let cluster: Running;
let cloud: MemoryCloud;

beforeEach(async () => {
  cluster = await runSandbox();
  cloud = new MemoryCloud();
  cluster.addNode('a', '10.0.0.1');
});
afterEach(() => cluster.close());

const lease = { resource: 'leases', group: 'coordination.k8s.io', namespace: 'default', name: 'nodeport-lb' };
const elect = { leaderElect: true, leaderElectNamespace: 'default' };
const reasonOf = (name: string) => cluster.service(name)?.conditions.find((c) => c.type === CONDITION)?.reason;
const isLookAtLease = ({ verb, resource }: { verb: string; resource: string }) => verb === 'get' && resource === 'leases';
const heldByAnother = (seconds: number) => ({
  holderIdentity: 'another',
  leaseDurationSeconds: seconds,
  renewTime: new Date().toISOString().replace('Z', '000Z'),
});

/** A cloud that takes its time. */
class SlowProvider extends MemoryProvider {
  gate = Promise.resolve();
  readonly asked = Promise.withResolvers<void>();

  override async apply(step: Step): Promise<void> {
    this.asked.resolve();
    await this.gate;
    return super.apply(step);
  }
}

test('a pass that the loss of the Lease has cut short is finished when it is held again', async () => {
  const provider = new SlowProvider(cloud);
  const opened = Promise.withResolvers<void>();
  provider.gate = opened.promise;
  await cluster.start(provider, elect);
  cluster.create('web');
  await provider.asked.promise;
  const from = cluster.kube.audit.length;
  cluster.kube.objects.patch(lease, { spec: heldByAnother(1) });
  await waitUntil(() => cluster.kube.audit.slice(from).some(isLookAtLease));
  await new Promise((resolve) => setTimeout(resolve, 20)); // the answer arrives
  opened.resolve();
  await cluster.until('Ready', () => reasonOf('web') === 'Ready');
}, 20_000);

test('who does not lead writes nothing, not even an event about a node', async () => {
  cluster.kube.objects.create(
    { resource: 'leases', group: 'coordination.k8s.io', namespace: 'default' },
    { metadata: { name: 'nodeport-lb' }, spec: heldByAnother(3600) },
  );
  const from = cluster.kube.audit.length;
  void cluster.start(new MemoryProvider(cloud), elect);
  await waitUntil(() => cluster.kube.audit.slice(from).some(isLookAtLease));
  cluster.kube.objects.create({ resource: 'nodes' }, { metadata: { name: 'addressless' } });
  await waitUntil(() => cluster.lines.includes('nodes'));
  await new Promise((resolve) => setTimeout(resolve, 50)); // an event would be written at once
  expect(cluster.writes(from)).toEqual([]);
});

/** For what no Service or event tells. */
async function waitUntil(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}
