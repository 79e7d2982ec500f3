import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import { enteredBy, type LabService, makeService, startController } from './lab/product.ts';
import { sliced } from './lab/workload.ts';

/**
 * Nodes that have an internal and an external address, of which only one leads to the NodePorts. Kube-proxy's health port
 * answers at every address that is not shut, so it does not tell which.
 */
describe('nodes with two addresses', () => {
  let lab: Lab;
  let service: LabService;
  let ip: string;
  const namespace = 'two';

  beforeAll(async () => {
    lab = await startLab({
      nodes: [
        { name: 'both' },
        { name: 'shut-inside', external: true, nodePortsOn: 'both', shut: 'internal' },
        { name: 'shut-outside', external: true, nodePortsOn: 'both', shut: 'external' },
        { name: 'ports-outside', external: true, nodePortsOn: 'external' },
        { name: 'ports-inside', external: true, nodePortsOn: 'internal' },
      ],
    });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const web = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: [lab.node('both')], ports });
    service = await makeService(lab, namespace, 'web');
    await sliced(lab.api, service, web.pods);
  });

  afterAll(async () => {
    await lab?.close();
  });

  test('every node is entered by the address that answers its NodePorts', async () => {
    startController(lab);
    ip = await service.address();
    const names = lab.nodes.map((node) => node.name);
    await enteredBy(lab, service, ip, names);
    const result = await lab.client.burst(`http://${ip}/`, 500);
    expect(result.failures).toEqual([]);
  });

  test('the address that answers is shut and the other one opened: it follows, and none fails', async () => {
    const node = lab.node('shut-inside');
    await node.open();
    await node.shut('external');
    const names = lab.nodes.map((n) => n.name);
    await enteredBy(lab, service, ip, names);
    const result = await lab.client.burst(`http://${ip}/`, 500);
    expect(result.failures).toEqual([]);
  });

  test('a node that lost both is left out until one is back, and none fails', async () => {
    const node = lab.node('ports-outside');
    const load = await lab.client.load({ url: `http://${ip}/`, connections: 'new', perSecond: 30 });
    await node.shut('external');
    const names = lab.nodes.map((n) => n.name);
    await enteredBy(
      lab,
      service,
      ip,
      names.filter((name) => name !== node.name),
    );
    await node.open();
    await enteredBy(lab, service, ip, names);
    expect((await load.stop()).failures).toEqual([]);
  });
});
