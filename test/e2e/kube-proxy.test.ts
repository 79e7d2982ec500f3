import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { prefixOf } from './lab/claim.ts';
import { Client } from './lab/client.ts';
import { run } from './lab/command.ts';
import { startAgent } from './lab/forwarder-agent.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { makeGuestNet } from './lab/network.ts';
import type { LabNode } from './lab/node.ts';
import type { Process } from './lab/process.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { type LabDeployment, sliced } from './lab/workload.ts';

/** Some seconds on a quiet machine: kube-proxy's turn, a hold-down and a takeover; this one may be busy. */
const PATIENT_MS = 60_000;
/** Longer than a hold-down and a takeover. */
const CALM_MS = 3_000;
const POOL = '172.31.77.220-172.31.77.229';
const GUEST = '172.31.77.200';

/** The third data path: agents hold the addresses, the real kube-proxy delivers, and nothing of ours touches a packet. */
describe('agents that leave delivery to kube-proxy', () => {
  const namespace = 'delivery';
  const ports = [
    { name: 'http', port: 80, targetPort: 8080 },
    { name: 'say', port: 5300, targetPort: 8080, protocol: 'UDP' },
  ];
  const agents = new Map<string, Process>();
  let lab: Lab;
  let guest: Client;
  let pods: LabDeployment;
  let web: LabService;
  let vip: string;

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    guest = new Client(
      'client-guest',
      await makeGuestNet(lab.plane.hub, `${prefixOf(lab.claim)}guest`, GUEST),
      lab.plane.directory,
    );
    await lab.namespace(namespace);
    const onTwo = lab.nodes.slice(0, 2);
    pods = await lab.deployment({
      namespace,
      name: 'web',
      labels: { app: 'web' },
      nodes: onTwo,
      ports: [{ name: 'http', port: 8080 }],
    });
    for (const node of lab.nodes) start(node);
    startController(lab, { args: ['--local-forwarder', 'agents', '--local-datapath', 'kube-proxy', '--local-pool', POOL] });
    web = await makeService(lab, namespace, 'web', { ports });
    await sliced(lab.api, web, pods.pods);
    vip = await web.address(PATIENT_MS);
  });

  afterAll(async () => {
    await lab?.close();
  });

  function start(node: LabNode): void {
    const vips = ['--local-vips', '--local-vip-hold-seconds', '1', '--drain-seconds', '1'];
    agents.set(node.name, startAgent(lab, node, { args: ['--local-datapath', 'kube-proxy', ...vips] }));
  }

  async function holders(address: string): Promise<readonly LabNode[]> {
    const shown = await Promise.all(
      lab.nodes.map((node) => run('ip', ['-n', node.net.namespace, '-o', 'addr', 'show', 'to', address])),
    );
    return lab.nodes.filter((_, i) => shown[i]?.stdout !== '');
  }

  /** Waits until just one of these nodes holds the address, and has done so for `calmMs`. */
  function heldBy(address: string, some: readonly LabNode[], calmMs = 0): Promise<LabNode> {
    let since = { names: '', atMs: 0 };
    return until(
      async () => {
        const found = await holders(address);
        const names = found.map(({ name }) => name).join(', ');
        if (names !== since.names) since = { names, atMs: Date.now() };
        if (found.length !== 1 || !some.includes(found[0]!)) throw new Error(`held by ${names || 'nobody'}`);
        return Date.now() - since.atMs >= calmMs ? found[0] : undefined;
      },
      { withinMs: PATIENT_MS, what: `one of ${some.map(({ name }) => name).join(', ')} holds ${address}` },
    );
  }

  /** Waits until the guest is answered at the address, over TCP and UDP. @returns the addresses that the pods saw */
  function seenAt(address: string): Promise<readonly string[]> {
    const what = `a guest is answered at ${address}`;
    return until(
      async () => {
        const { remote } = await guest.json(`http://${address}/`, 2_000);
        const said = await guest.datagram(address, 5300);
        if (typeof said === 'string') throw new Error(`a datagram: ${said}`);
        return [remote, said.remote];
      },
      { withinMs: PATIENT_MS, what },
    );
  }

  const inNode = (node: LabNode, ...args: string[]) => run('nsenter', [`--net=/run/netns/${node.net.namespace}`, ...args]);

  test('a Service is published as VIP, one node holds its address, and kube-proxy answers a guest there', async () => {
    expect(vip).toMatch(/^172\.31\.77\.22\d$/);
    await heldBy(vip, lab.nodes);
    await seenAt(vip);
    const isServed = async () => {
      const { ingress = [] } = (await web.read()).status.loadBalancer;
      const faults = ingress.flatMap(({ ports = [] }) => ports).filter(({ error }) => error !== undefined);
      if (faults.length > 0) throw new Error(`${JSON.stringify(faults)}: ${(await web.condition())?.message}`);
      return ingress;
    };
    expect(await until(isServed, { withinMs: PATIENT_MS, what: 'every port is told as served' })).toEqual([
      {
        ip: vip,
        ipMode: 'VIP',
        ports: [
          { port: 80, protocol: 'TCP' },
          { port: 5300, protocol: 'UDP' },
        ],
      },
    ]);
    await until(async () => (await web.condition())?.reason === 'Ready', { withinMs: PATIENT_MS, what: 'it is Ready' });
    expect((await web.read()).metadata.annotations?.['nodeport-lb.io/datapath']).toBe('kube-proxy: as asked for');
  });

  test('nothing of ours is in the way: no table in the kernel, and no socket at the Service’s ports', async () => {
    for (const node of lab.nodes) {
      const tables = async () => (await inNode(node, 'nft', 'list', 'tables')).stdout;
      const what = `kube-proxy of ${node.name} has its table`;
      await until(async () => (await tables()).includes('kube-proxy'), { withinMs: PATIENT_MS, what });
      expect(await tables()).not.toContain('nodeport-lb');
      expect((await inNode(node, 'ss', '-Hltun', 'sport = :80 or sport = :5300')).stdout).toBe('');
    }
  });

  test('the nodes themselves reach it, whoever holds the address', async () => {
    for (const node of lab.nodes) {
      const answered = async () => (await lab.clientOn(node).json(`http://${vip}/`, 2_000)).pod;
      expect(await until(answered, { withinMs: PATIENT_MS, what: `${node.name} is answered` })).toMatch(/^web-/);
    }
  });

  test('under policy Local a node with an endpoint holds it, and pods see the guest’s own address, also after it moved', async () => {
    const local = await makeService(lab, namespace, 'local', { ports, spec: { externalTrafficPolicy: 'Local' } });
    const address = await local.address(PATIENT_MS);
    const [first, second, third] = lab.nodes;
    const holder = await heldBy(address, [first!, second!]);
    expect(await seenAt(address)).toEqual([GUEST, GUEST]);
    const gone = pods.pods.find(({ options }) => options.node === holder)!;
    await gone.setReady('False');
    const next = await heldBy(address, holder === first ? [second!] : [first!]);
    expect(await seenAt(address)).toEqual([GUEST, GUEST]);
    expect((await guest.json(`http://${address}/`)).node).toBe(next.name);
    expect(await holders(address)).not.toContain(third);
    await gone.setReady('True');
    await heldBy(address, [first!, second!]);
    await lab.api.delete(local.path);
    await local.deleted(PATIENT_MS);
    await until(async () => (await holders(address)).length === 0, { withinMs: PATIENT_MS, what: `${address} is on no link` });
  });

  test('kube-proxy keeps out who is in no source range', async () => {
    const ranged = await makeService(lab, namespace, 'ranged', { ports, spec: { loadBalancerSourceRanges: [`${GUEST}/32`] } });
    const address = await ranged.address(PATIENT_MS);
    await heldBy(address, lab.nodes);
    await seenAt(address);
    expect(await lab.client.knock(address, 80)).not.toBe('open');
    await lab.api.delete(ranged.path);
    await ranged.deleted(PATIENT_MS);
  });

  test('the PROXY protocol is refused by name, and the Service is not published without it', async () => {
    const annotations = { 'nodeport-lb.io/proxy-protocol': 'v2' };
    const proxied = await makeService(lab, namespace, 'proxied', { annotations });
    expect(await proxied.refused('NotSupported', PATIENT_MS)).toContain('kube-proxy');
    expect((await proxied.read()).status.loadBalancer.ingress).toBeUndefined();
    await lab.api.delete(proxied.path);
    await proxied.deleted(PATIENT_MS);
  });

  test('the agent that holds it is killed, and the guest is answered at the next one', async () => {
    const holder = await heldBy(vip, lab.nodes);
    await agents.get(holder.name)!.kill();
    await heldBy(
      vip,
      lab.nodes.filter((node) => node !== holder),
    );
    await seenAt(vip);
    start(holder);
    await agents.get(holder.name)!.logged(/following the cluster/, PATIENT_MS);
  });

  test('a node whose kube-proxy dies leaves the address to another one', async () => {
    const holder = await heldBy(vip, lab.nodes, CALM_MS); // the agent that was killed before takes its own back
    await holder.proxy.kill();
    await agents.get(holder.name)!.logged(/kube-proxy of this node does not answer any more/, PATIENT_MS);
    await heldBy(
      vip,
      lab.nodes.filter((node) => node !== holder),
    );
    await seenAt(vip);
    await holder.startProxy();
    await agents.get(holder.name)!.logged(/kube-proxy of this node is well again/, PATIENT_MS);
  });

  test('the address goes with its Service', async () => {
    await heldBy(vip, lab.nodes);
    await lab.api.delete(web.path);
    await web.deleted(PATIENT_MS);
    await until(async () => (await holders(vip)).length === 0, { withinMs: PATIENT_MS, what: `${vip} is on no link` });
    await until(async () => (await guest.knock(vip, 80)) !== 'open', { withinMs: PATIENT_MS, what: 'nobody answers' });
  });
});
