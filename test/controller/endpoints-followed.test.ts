import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Balancer, nodesBehind } from '../../src/model.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { MemoryCloud, MemoryProvider } from './memory-provider.ts';
import { type Running, runSandbox } from './running.ts';

/** Sends under policy Local to nodes with endpoints alone. */
class Narrowing extends MemoryProvider {
  readonly followsEndpoints = true;

  override plan(wanted: Balancer | undefined, observed: Parameters<MemoryProvider['plan']>[1]) {
    const nodes = wanted?.listeners[0] && nodesBehind(wanted, wanted.listeners[0]);
    return super.plan(wanted && nodes && { ...wanted, nodes }, observed);
  }
}

let cloud: MemoryCloud;
let running: Running;

beforeEach(async () => {
  cloud = new MemoryCloud();
  running = await runSandbox();
  for (const n of [1, 2, 3]) running.addNode(`n${n}`, `10.0.0.${n}`);
});

afterEach(() => running.close());

const slices = { resource: 'endpointslices', group: 'discovery.k8s.io', namespace: 'default' } as const;

function slice(service: string, nodes: readonly string[]): object {
  return {
    metadata: { name: `${service}-1`, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints: nodes.map((nodeName, i) => ({ nodeName, addresses: [`10.1.0.${i + 1}`], conditions: { ready: true } })),
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  };
}

function put(service: string, ...nodes: readonly string[]): void {
  const had = running.kube.objects.get({ ...slices, name: `${service}-1` });
  if (had) running.kube.objects.replace({ ...slices, name: `${service}-1` }, slice(service, nodes));
  else running.kube.objects.create(slices, slice(service, nodes));
}

const asked = () => running.kube.audit.filter(({ resource }) => resource === 'endpointslices').map(({ verb }) => verb);
const ensured = () =>
  running.kube.objects
    .list({ resource: 'events', namespace: 'default' })
    .filter((event) => event['reason'] === 'EnsuredLoadBalancer')
    .reduce((sum, event) => sum + Number(event['count'] ?? 1), 0);
const conditionOf = (name: string) => running.service(name)?.conditions[0];
const targetsOf = (name: string) => running.service(name)?.annotations['nodeport-lb.io/targets'];
const nodesOf = (name: string) => cloud.balancers.get(`default/${name}`)?.nodes.join();
const start = (provider: Provider) => running.start(provider);

describe('under policy Local', () => {
  const local = { externalTrafficPolicy: 'Local' };

  test('the nodes with an endpoint are the targets, and a pod that moves is no event', async () => {
    put('web', 'n2');
    running.create('web', local);
    await start(new Narrowing(cloud));
    await running.until('it serves', () => conditionOf('web')?.reason === 'Ready' && targetsOf('web') === '1/1');
    expect(nodesOf('web')).toBe('n2');
    put('web', 'n2', 'n3');
    await running.until('both count', () => targetsOf('web') === '2/2');
    put('web', 'n1', 'n2', 'n3');
    await running.until('all count', () => targetsOf('web') === undefined);
    put('web');
    await running.until('it says that nobody serves', () => conditionOf('web')?.reason === 'NoHealthyTargets');
    expect(conditionOf('web')?.message).toContain('none of its 3 nodes has an endpoint');
    put('web', 'n1');
    await running.until('it serves again', () => conditionOf('web')?.reason === 'Ready');
    expect(nodesOf('web')).toBe('n1');
    await running.until('that is told', () => ensured() === 2);
    expect(running.events('web').map(({ reason }) => reason)).not.toContain('UpdatedLoadBalancer');
    expect(asked()).toEqual(['list', 'watch']);
  });

  test('endpoints of other Services change nothing, and none are asked for while all are under policy Cluster', async () => {
    running.create('wide');
    await start(new Narrowing(cloud));
    await running.until('it serves', () => conditionOf('wide')?.reason === 'Ready');
    expect(asked()).toEqual([]);
    running.create('web', local);
    await running.until('it serves everywhere', () => conditionOf('web')?.reason === 'Ready' && nodesOf('web') === 'n1,n2,n3');
    put('web', 'n3');
    await running.until('it is known where', () => targetsOf('web') === '1/1');
    const from = running.kube.audit.length;
    put('wide', 'n1');
    put('web', 'n1', 'n3');
    await running.until('the next is known', () => targetsOf('web') === '2/2');
    expect(running.writes(from)).toEqual(['patch services/status']);
    expect(nodesOf('wide')).toBe('n1,n2,n3');
  });

  test('a provider that does not go by endpoints has every node, and nobody asks where they are', async () => {
    put('web', 'n2');
    running.create('web', local);
    await start(new MemoryProvider(cloud));
    await running.until('it serves', () => conditionOf('web')?.reason === 'Ready');
    expect(nodesOf('web')).toBe('n1,n2,n3');
    expect(asked()).toEqual([]);
  });

  test('what is refused since it was served follows its endpoints all the same', async () => {
    put('web', 'n2');
    running.create('web', local);
    await start(new Narrowing(cloud));
    await running.until('it serves', () => targetsOf('web') === '1/1');
    running.patch('web', { metadata: { annotations: { 'nodeport-lb.io/drain-seconds': 'soon' } } });
    await running.until('it is refused', () => conditionOf('web')?.reason === 'AnnotationInvalid');
    const moved = Promise.withResolvers<void>();
    cloud.acted = () => moved.resolve();
    put('web', 'n3');
    await moved.promise;
    expect(nodesOf('web')).toBe('n3');
  });
});
