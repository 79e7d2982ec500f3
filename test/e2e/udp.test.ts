import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunningFlow } from './lab/client.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { type LabDeployment, sliced } from './lab/workload.ts';

const ALL = ['n1', 'n2', 'n3'];
const DRAIN_SECONDS = 5;
/** From the death of a node to the first datagram by way of another: three checks of a second, and what a busy machine adds. */
const DEAD_NODE_MS = 8_000;

/** UDP through real kube-proxies. Pods are on n1 and n2, so that n3 carries nothing but traffic. */
describe('UDP', () => {
  let lab: Lab;
  let web: LabDeployment;
  let dns: LabService;
  let both: LabService;
  let ip: string;
  const namespace = 'udp';

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    web = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes.slice(0, 2), ports });
    const annotations = { 'nodeport-lb.io/drain-seconds': String(DRAIN_SECONDS) };
    const udp = { name: 'udp', protocol: 'UDP', port: 53, targetPort: 8080 };
    dns = await makeService(lab, namespace, 'dns', { annotations, ports: [udp] });
    both = await makeService(lab, namespace, 'both', {
      ports: [
        { name: 'tcp', port: 443, targetPort: 8080 },
        { ...udp, port: 443 },
      ],
    });
    await sliced(lab.api, dns, web.pods);
    startController(lab);
    ip = await dns.address();
  });

  afterAll(async () => {
    await lab?.close();
  });

  /** Waits until datagrams from new ports enter just these nodes. */
  async function enteredBy(service: LabService, nodes: readonly string[]): Promise<void> {
    const [{ port, nodePort = 0 } = { port: 0 }] = (await service.read()).spec.ports ?? [];
    const address = await service.address();
    const count = () => Promise.all(lab.nodes.map((node) => node.entered(nodePort, 'flows')));
    await until(
      async () => {
        const before = await count();
        const answers = await Promise.all(Array.from({ length: 12 }, () => lab.client.datagram(address, port)));
        const after = await count();
        const found = lab.nodes.filter((_, i) => after[i]! > before[i]!).map(({ name }) => name);
        const silent = answers.filter((answer) => typeof answer === 'string');
        if (silent.length > 0 || found.join() !== nodes.join()) throw new Error(`${found.join()}; ${silent.join()}`);
        return true;
      },
      { withinMs: 30_000, what: `datagrams enter just ${nodes.join()} and all are answered` },
    );
  }

  async function answeredBy(flow: RunningFlow, pods: readonly string[]): Promise<void> {
    await until(async () => pods.includes((await flow.read()).pod), { withinMs: 20_000, what: `${pods.join()} answer` });
  }

  test('a Service of UDP alone has an address that answers, by way of every node, and its nodes are known to be healthy', async () => {
    await enteredBy(dns, ALL);
    expect((await dns.condition())?.reason).toBe('Ready');
  });

  test('TCP and UDP of one Service on one port both answer', async () => {
    const address = await both.address();
    await enteredBy(both, ALL);
    expect(await both.answers(address, 443)).toMatch(/^web-/);
    expect(await lab.client.datagram(address, 443)).toMatchObject({ pod: expect.stringMatching(/^web-/) });
  });

  test('a sender goes on while all pods are replaced, and ends at a new one', async () => {
    const flow = await lab.client.flow({ host: ip, port: 53, perSecond: 50 });
    await answeredBy(flow, ['web-1', 'web-2']);
    await web.replaceOneByOne();
    await answeredBy(flow, ['web-3', 'web-4']);
    const { longestGapMs } = await flow.end();
    expect(longestGapMs).toBeLessThan(5_000);
  });

  test('a node is taken out: senders are answered all the time, and its way is no longer used', async () => {
    const joined = await lab.addNode();
    await enteredBy(dns, [...ALL, joined.name]);
    const flows = await Promise.all([...ALL, joined.name].map(() => lab.client.flow({ host: ip, port: 53, perSecond: 20 })));
    await Promise.all(flows.map((flow) => answeredBy(flow, ['web-3', 'web-4'])));
    await joined.deleteObject();
    await enteredBy(dns, ALL);
    const states = await Promise.all(flows.map((flow) => flow.end()));
    for (const { longestGapMs } of states) expect(longestGapMs).toBeLessThan(2_000);
    await joined.remove();
  });

  test('a node dies without a word: senders by way of it are answered again within seconds', async () => {
    const flows = await Promise.all(ALL.map(() => lab.client.flow({ host: ip, port: 53, perSecond: 20 })));
    await Promise.all(flows.map((flow) => answeredBy(flow, ['web-3', 'web-4'])));
    await lab.node('n3').down();
    await enteredBy(dns, ['n1', 'n2']);
    const before = await Promise.all(flows.map((flow) => flow.read()));
    await until(
      async () => (await Promise.all(flows.map((flow) => flow.read()))).every((s, i) => s.answered > before[i]!.answered),
      {
        withinMs: DEAD_NODE_MS,
        what: 'every sender is answered',
      },
    );
    const states = await Promise.all(flows.map((flow) => flow.end()));
    for (const { longestGapMs } of states) expect(longestGapMs).toBeLessThan(DEAD_NODE_MS);
    await lab.node('n3').up();
    await enteredBy(dns, ALL);
  });

  test('a Service that is deleted leaves no open port, though a sender goes on', async () => {
    const flow = await lab.client.flow({ host: ip, port: 53, perSecond: 20 });
    await answeredBy(flow, ['web-3', 'web-4']);
    await lab.api.delete(dns.path);
    await dns.deleted();
    await until(async () => (await lab.client.datagram(ip, 53)) === 'refused', { withinMs: 30_000, what: 'the port is closed' });
    await flow.end();
  });
});
