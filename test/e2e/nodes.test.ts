import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { HeldConnection } from './lab/client.ts';
import { type Lab, startLab } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import { enteredBy, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';
const ALL = ['n1', 'n2', 'n3'];
const DRAIN_SECONDS = 6;

/** What happens to nodes, and what the targets do. Pods are on n1 and n2, so that n3 carries nothing but traffic. */
describe('nodes', () => {
  let lab: Lab;
  let service: LabService;
  let ip: string;
  const namespace = 'nodes';

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const nodes = lab.nodes.slice(0, 2);
    const web = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes, ports });
    const annotations = { 'nodeport-lb.io/drain-seconds': String(DRAIN_SECONDS) };
    service = await makeService(lab, namespace, 'web', { annotations });
    await sliced(lab.api, service, web.pods);
    startController(lab);
    ip = await service.address();
    await enteredBy(lab, service, ip, ALL);
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function label(node: string, value: string | null): Promise<void> {
    await lab.api.patch(`/api/v1/nodes/${node}`, { metadata: { labels: { [EXCLUDE]: value } } });
  }

  async function taint(node: string, key?: string): Promise<void> {
    const taints = key === undefined ? null : [{ key, value: '', effect: 'NoSchedule' }];
    await lab.api.patch(`/api/v1/nodes/${node}`, { spec: { taints } });
  }

  /** New connections all the time while `change` happens: not one may fail. */
  async function noneFails(change: () => Promise<void>): Promise<void> {
    const load = await lab.client.load({ url: `http://${ip}/`, connections: 'new', perSecond: 30 });
    await change();
    await until(async () => (await load.read()).sent >= 60, { withinMs: 20_000, what: '60 requests are sent' });
    const result = await load.stop();
    expect(result.failures).toEqual([]);
  }

  test('the exclude label: true takes the node out, false and its absence do not', async () => {
    await noneFails(async () => {
      await label('n3', 'true');
      await enteredBy(lab, service, ip, ['n1', 'n2']);
      await label('n3', 'false');
      await enteredBy(lab, service, ip, ALL);
      await label('n3', '');
      await enteredBy(lab, service, ip, ['n1', 'n2']); // kubeadm writes it without a value
      await label('n3', null);
      await enteredBy(lab, service, ip, ALL);
    });
  });

  test('the exclude label with garbage in it takes the node out', async () => {
    await noneFails(async () => {
      await label('n3', 'perhaps');
      await enteredBy(lab, service, ip, ['n1', 'n2']);
      await label('n3', null);
      await enteredBy(lab, service, ip, ALL);
    });
  });

  test.each(['ToBeDeletedByClusterAutoscaler', 'node.kubernetes.io/out-of-service'])(
    'the taint %s takes the node out',
    async (key) => {
      await noneFails(async () => {
        await taint('n3', key);
        await enteredBy(lab, service, ip, ['n1', 'n2']);
        await taint('n3');
        await enteredBy(lab, service, ip, ALL);
      });
    },
  );

  test('cordon and NotReady change nothing: the health check decides', async () => {
    const since = Date.now();
    await lab.kubectl(['cordon', 'n3']);
    await lab.node('n3').writeStatus('False');
    await lab.api.patch('/api/v1/nodes/n2', { metadata: { labels: { [EXCLUDE]: 'true' } } }); // seen after those two
    await enteredBy(lab, service, ip, ['n1', 'n3']);
    await label('n2', null);
    await lab.kubectl(['uncordon', 'n3']);
    await lab.node('n3').writeStatus('True');
    await enteredBy(lab, service, ip, ALL);
    expect(lab.productWrites({ since, resource: 'nodes' })).toEqual([]);
  });

  test('a node joins and leaves; established connections through it get the drain time', async () => {
    let joined: LabNode | undefined;
    await noneFails(async () => {
      joined = await lab.addNode();
      await enteredBy(lab, service, ip, [...ALL, joined.name]);
      const held = await holdThrough(joined);
      const since = Date.now();
      await joined.deleteObject();
      await enteredBy(lab, service, ip, ALL);
      expect((await held.read()).open).toBe(true);
      const ended = await until(async () => (await held.read()).closedAt, { withinMs: 30_000, what: 'the drain time ends' });
      expect(ended - since).toBeGreaterThan((DRAIN_SECONDS - 2) * 1_000);
    });
    await joined?.remove();
  });

  test('a node dies without a word: new connections go to the others', async () => {
    await noneFails(async () => {
      await lab.node('n3').down();
      await enteredBy(lab, service, ip, ['n1', 'n2']);
      const { message } = await until(
        async () => {
          const condition = await service.condition();
          return condition?.message.includes('n3') ? condition : undefined;
        },
        { withinMs: 30_000, what: 'the condition names the node that is down' },
      );
      expect(message).toMatch(/1 of 3/);
      await lab.node('n3').up();
      await enteredBy(lab, service, ip, ALL);
    });
    expect((await service.condition())?.status).toBe('True');
  });

  test('a node gets another address: targets follow', async () => {
    await noneFails(async () => {
      await lab.node('n3').moveTo('172.31.77.113');
      await enteredBy(lab, service, ip, ALL);
    });
  });

  /** A held connection by way of this node, which has no pods: they see its own address. The client cannot choose, so it is tried. */
  function holdThrough(node: LabNode): Promise<HeldConnection> {
    return until(
      async () => {
        const held = await lab.client.hold(ip, 80);
        await until(async () => (await held.read()).ticks > 0, { withinMs: 5_000, what: 'the held connection ticks' });
        if ((await held.read()).remote === node.address) return held;
        await held.end();
        return undefined;
      },
      { withinMs: 30_000, what: `a connection is held by way of ${node.name}` },
    );
  }
});
