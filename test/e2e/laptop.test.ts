import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import { enteredBy, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

/**
 * A cluster whose Nodes have addresses that the machine of the controller cannot reach, as those in the VM of a laptop; the NodePorts
 * are published at another address, of which the Nodes know nothing.
 */
describe('a cluster in a VM of this machine', () => {
  let lab: Lab;
  let service: LabService;
  const namespace = 'laptop';
  const nodes = ['kind-1', 'kind-2'];

  beforeAll(async () => {
    lab = await startLab({ nodes: nodes.map((name) => ({ name, external: true, nodePortsOn: 'both', shut: 'internal' })) });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const web = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: [lab.node('kind-1')], ports });
    service = await makeService(lab, namespace, 'web');
    await sliced(lab.api, service, web.pods);
  });

  afterAll(async () => {
    await lab?.close();
  });

  test('a Service says that no node can be reached, with each address, the cure, and a way in meanwhile', async () => {
    startController(lab, { args: ['--node-address-types', 'InternalIP'] });
    const condition = await until(
      async () => {
        const found = await service.condition();
        return found?.reason === 'NodesUnreachable' ? found : undefined;
      },
      { withinMs: 60_000, what: 'the condition says so' },
    );
    expect(condition.status).toBe('False');
    for (const name of nodes)
      expect(condition.message).toContain(`${name} (no answer from ${lab.node(name).address} within 1000 ms`);
    expect(condition.message).toContain('nodeport-lb.io/node-port-map');
    expect(condition.message).toContain('kubectl port-forward');
    await service.event('UnAvailableLoadBalancer', /NodesUnreachable/);
  });

  test('the annotation that says where NodePorts are published brings it to life, node by node', async () => {
    const publish = (name: string, text: string) =>
      lab.api.patch(`/api/v1/nodes/${name}`, { metadata: { annotations: { 'nodeport-lb.io/node-port-map': text } } });
    const ip = (await service.read()).status.loadBalancer.ingress![0]!.ip!;
    await publish('kind-1', `*=${lab.node('kind-1').external}`);
    await enteredBy(lab, service, ip, ['kind-1']);
    const { spec } = await service.read();
    const nodePort = spec.ports![0]!.nodePort!;
    await publish('kind-2', `${nodePort}=${lab.node('kind-2').external}:${nodePort}`);
    await enteredBy(lab, service, ip, nodes);
    await until(async () => (await service.condition())?.reason === 'Ready', { withinMs: 60_000, what: 'it is Ready' });
  });
});
