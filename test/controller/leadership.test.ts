import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Config } from '../../src/config/config.ts';
import { toConfig } from '../../src/config/read.ts';
import { CONDITION } from '../../src/controller/claim.ts';
import { leaseName } from '../../src/controller/leadership.ts';
import type { Step } from '../../src/model.ts';
import type { ProviderStart } from '../../src/providers/provider.ts';
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
}, 120_000);

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

/** Notes when it is opened, and when it is told that this process leads. */
class WatchfulProvider extends MemoryProvider {
  readonly told: string[] = [];

  override async open(start: ProviderStart): Promise<void> {
    this.told.push(`opened with ${start.balancers.length}`);
    return super.open(start);
  }

  lead({ balancers }: ProviderStart): void {
    this.told.push(`leads over ${balancers.length}`);
  }
}

test('a provider is opened when its process leads, and told each time that it leads again', async () => {
  cluster.kube.objects.create(
    { resource: 'leases', group: 'coordination.k8s.io', namespace: 'default' },
    { metadata: { name: 'nodeport-lb' }, spec: heldByAnother(3600) },
  );
  const provider = new WatchfulProvider(cloud);
  const started = cluster.start(provider, elect);
  await waitUntil(() => cluster.kube.audit.some(isLookAtLease));
  cluster.create('web');
  expect(provider.told).toEqual([]);
  cluster.kube.objects.patch(lease, { spec: { holderIdentity: '' } });
  await started;
  expect(provider.told).toEqual(['opened with 1', 'leads over 1']);
  await cluster.until('Ready', () => reasonOf('web') === 'Ready');
  cluster.kube.objects.patch(lease, { spec: heldByAnother(1) });
  await waitUntil(() => provider.told.length === 3);
  expect(provider.told.at(-1)).toBe('leads over 1');
}, 120_000);

test('a provider that cannot be opened ends the controller', async () => {
  const provider = new MemoryProvider(cloud);
  provider.open = async () => {
    throw new Error('there is no such region');
  };
  await expect(cluster.start(provider)).rejects.toThrow('there is no such region');
});

describe('the Lease is named', () => {
  const named = (more: Partial<Config> = {}): string => leaseName({ ...toConfig({}), ...more });

  test('after class and namespaces, so that controllers that share no Service do not wait for each other', () => {
    expect(named()).toBe('nodeport-lb');
    expect(named({ loadBalancerClass: 'Example.com/lb' })).toBe('nodeport-lb-example.com-lb');
    const names = [[], ['shop'], ['study'], ['shop', 'study']].map((namespaces) => named({ namespaces }));
    expect(new Set(names).size).toBe(4);
    for (const name of names) expect(name).toMatch(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/);
    expect(named({ namespaces: ['study', 'shop', 'study'] })).toBe(names[3]);
  });

  test('as it is told to be', () => {
    expect(named({ leaderElectName: 'mine', namespaces: ['shop'] })).toBe('mine');
  });
});

/** For what no Service or event tells. */
async function waitUntil(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}
