import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import type { Process } from './lab/process.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

const QUIET_MS = 20_000;

/** What does not change is not said again: the API server is everybody's. */
describe('quiet', () => {
  let lab: Lab;
  let controller: Process;
  const namespace = 'quiet';

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes, ports });
    controller = startController(lab);
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function answersEverywhere(service: LabService): Promise<void> {
    const nodePort = (await service.read()).spec.ports?.[0]?.nodePort ?? 0;
    for (const node of lab.nodes) await service.answers(node.address, nodePort);
  }

  async function writesWhileQuiet(): Promise<readonly unknown[]> {
    const since = Date.now();
    await until(() => Date.now() - since > QUIET_MS, { withinMs: QUIET_MS + 1_000, what: 'nothing happens for a while' });
    expect(controller.alive).toBe(true);
    return lab.productWrites({ since });
  }

  test('Services that are served: two writes each to get there, the event included, and then none', async () => {
    const services = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => makeService(lab, namespace, name, { type: 'NodePort' })),
    );
    for (const service of services) await answersEverywhere(service); // else it is told as well that kube-proxy was not ready
    for (const service of services) await service.patch({ spec: { type: 'LoadBalancer' } });
    for (const service of services) await service.answers(await service.address(), 80);
    await until(async () => (await Promise.all(services.map((s) => s.events()))).every((events) => events.length > 0), {
      withinMs: 20_000,
      what: 'every Service has its event',
    });
    expect(await writesWhileQuiet()).toEqual([]);
    expect(lab.productWrites({ namespace }).length).toBeLessThanOrEqual(2 * services.length);
  });

  test('a Service without a single pod says so once, and then nothing is written', async () => {
    // Kube-proxy rejects with ICMP, of which Linux sends one a second at most: the checks are refused or hear nothing, by chance.
    const service = await makeService(lab, namespace, 'empty', { selector: { app: 'nobody' } });
    await service.refused('NoHealthyTargets');
    await service.event('UnAvailableLoadBalancer', /NoHealthyTargets/);
    await until(async () => (await service.condition())?.message.includes('3 of 3') ?? false, {
      withinMs: 30_000,
      what: 'all are seen',
    });
    expect(await writesWhileQuiet()).toEqual([]);
    expect((await service.events()).filter((event) => event.reason === 'UnAvailableLoadBalancer')).toHaveLength(1);
  });
});
