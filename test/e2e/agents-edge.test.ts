import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startAgent } from './lab/forwarder-agent.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { HUB_ADDRESS, HUB_OUTSIDE } from './lab/network.ts';
import type { Process } from './lab/process.ts';
import { enteredBy, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

const CLASS = 'example.com/edge';

/** An agent on a machine that is no node, with a kubeconfig and no more; the controller gives out addresses of a pool. */
describe('an edge machine', () => {
  const namespace = 'edge';
  let lab: Lab;
  let controller: Process;
  let agent: Process;
  let web: LabService;

  const runController = (pools: readonly string[]): Process => {
    const given = pools.flatMap((pool) => ['--local-pool', pool]);
    return startController(lab, { args: ['--local-forwarder', 'agents', '--load-balancer-class', CLASS, ...given] });
  };

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const pods = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes.slice(0, 2), ports });
    controller = runController([HUB_OUTSIDE]);
    web = await make('web', 8000);
    await sliced(lab.api, web, pods.pods);
  });

  afterAll(async () => {
    await lab?.close();
  });

  function make(name: string, port: number): Promise<LabService> {
    return makeService(lab, namespace, name, { ports: [{ port, targetPort: 'http' }], spec: { loadBalancerClass: CLASS } });
  }

  test('without any agent the Service is told that there is none', async () => {
    expect(await web.refused('NoForwarder', 60_000)).toMatch(/no forwarder agent is alive/);
  });

  test('serves the address of the pool that it has, by way of every node, and follows no configuration of its own', async () => {
    agent = startAgent(lab, undefined, { edge: 'edge-1', args: ['--load-balancer-class', CLASS] });
    const ip = await web.address(60_000);
    expect(ip).toBe(HUB_OUTSIDE);
    expect(await web.answers(ip, 8000)).toMatch(/^web-/);
    await enteredBy(lab, web, ip, ['n1', 'n2', 'n3']);
    const table = await lab.kubectl(['get', 'configmaps,leases', '-n', 'kube-system', '-o', 'name']);
    expect(table).toContain('configmap/nodeport-lb-example.com-edge-agent-edge-1');
    expect(table).toContain('lease.coordination.k8s.io/nodeport-lb-example.com-edge-agent-edge-1');
  });

  test('goes on over a restart of the controller, whose pools are other ones: the Service keeps its address, and is told', async () => {
    await controller.stop(60_000);
    controller = runController([HUB_ADDRESS]);
    await web.event('LoadBalancerNotes', new RegExp(`${HUB_OUTSIDE} is kept although no pool`));
    expect(await web.answers(HUB_OUTSIDE, 8000)).toMatch(/^web-/);
    const next = await make('next', 8001);
    expect(await next.address(60_000)).toBe(HUB_ADDRESS);
    await web.annotate({ 'nodeport-lb.io/allow-disruption': 'true' });
    await lab.api.delete(next.path); // the pool has but one address
    await until(async () => (await web.address()) === HUB_ADDRESS, { withinMs: 60_000, what: 'it has moved' });
    expect(await web.answers(HUB_ADDRESS, 8000)).toMatch(/^web-/);
  });

  test('answers "who has what" by kubectl alone, and leaves no trace of a Service that is deleted', async () => {
    const report = await lab.kubectl([
      ...['get', 'configmap', 'nodeport-lb-example.com-edge-agent-edge-1', '-n', 'kube-system'],
      ...['-o', 'jsonpath={.data.report}'],
    ]);
    expect(JSON.parse(report)).toMatchObject({
      agent: 'edge-1',
      holdings: { [`${namespace}/web 8000/TCP ${HUB_ADDRESS}`]: (await web.read()).metadata.uid },
    });
    await lab.api.delete(web.path);
    await web.deleted(60_000);
    expect(await lab.client.knock(HUB_ADDRESS, 8000)).toBe('refused');
    expect(await agent.stop(60_000)).toMatchObject({ code: 0 });
  });
});
