import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from './lab/command.ts';
import { type Lab, startLab } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import type { Process } from './lab/process.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { sendSctpInit } from './lab/sctp.ts';
import { until } from './lab/until.ts';
import { type LabDeployment, sliced } from './lab/workload.ts';

const ADDRESSES = ['172.31.77.240', '172.31.77.241', '172.31.77.242', 'fd00:77::240', 'fd00:77::241'];
const POOLS = ['--local-pool', '172.31.77.240-172.31.77.242', '--local-pool', 'fd00:77::240/127'];
const SLOW_MS = 60_000;

/** Nodes, pods and Services of both families, real kube-proxy, and the controller's own forwarder on a machine with both. */
describe('a dual-stack cluster', () => {
  const namespace = 'dual';
  let lab: Lab;
  let web: LabService;
  let pods: LabDeployment;
  let controller: Process;

  beforeAll(async () => {
    lab = await startLab({ nodes: 2, dualStack: true });
    for (const address of ADDRESSES) await onHub(['ip', 'addr', 'add', withLength(address), 'dev', 'br0', ...nodad(address)]);
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    pods = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes, ports });
    web = await makeService(lab, namespace, 'web', {
      ports: [
        { name: 'tcp', port: 80, targetPort: 'http' },
        { name: 'udp', port: 80, targetPort: 8080, protocol: 'UDP' },
      ],
      spec: { ipFamilyPolicy: 'RequireDualStack' },
    });
    await sliced(lab.api, web, pods.pods, 'both');
  });

  afterAll(async () => {
    await lab?.close();
  });

  test('kube-proxy itself answers at the NodePort of each node, in both families', async () => {
    const nodePort = await nodePortOf('TCP');
    for (const node of lab.nodes)
      for (const address of [node.address, node.address6]) expect(await web.answers(hostOf(address), nodePort)).toMatch(/^web-/);
  });

  test('a Service gets an address of each family, and both lead to every node, in userspace', async () => {
    controller = startController(lab, { args: [...POOLS, '--local-datapath', 'userspace'] });
    const published = await publishedAddresses();
    expect(published.map((address) => address.includes(':')).sort()).toEqual([false, true]);
    for (const address of published) await leadsEverywhere(address);
    await says(/^userspace: as asked for$/);
  });

  test('auto stays in userspace while the machine does not forward, says so, and changes no sysctl', async () => {
    await forward(0);
    await restart('auto');
    await says(/^userspace: this machine does not forward IPv4 .*\nuserspace: this machine does not forward IPv6 /);
    for (const address of await publishedAddresses()) await leadsEverywhere(address);
    expect(await forwarding()).toEqual(['0', '0']);
  });

  test('auto is nftables where the machine forwards, at the same addresses, also for clients elsewhere', async () => {
    const before = await publishedAddresses();
    await forward(1);
    await restart('auto');
    await says(/^nftables: rights, machine and rule allow it$/);
    expect(await publishedAddresses()).toEqual(before);
    for (const address of before) {
      await leadsEverywhere(address, 'kernel');
      const client = lab.clientOn(lab.nodes[0]!);
      const url = `http://${hostOf(address)}/`;
      expect(await until(async () => (await client.json(url, 2_000)).pod, { withinMs: SLOW_MS, what: `${url} answers` })).toMatch(
        /^web-/,
      );
    }
    const wide = (await program('status', '-A', '-o', 'wide')).split('\n').find((line) => line.includes(' web '));
    expect(wide).toMatch(/ nftables {2,}hidden by nftables and kube-proxy /);
    const story = await program('status', `${namespace}/web`);
    expect(story).toContain('data path nftables: rights, machine and rule allow it');
    expect(story.replaceAll(/\s+/g, ' ')).toContain(
      'hidden by nftables (masquerade) and kube-proxy (externalTrafficPolicy Cluster)',
    );
  });

  test('a rule that needs userspace gets it, and the reason shows', async () => {
    const proxied = await makeService(lab, namespace, 'proxied', {
      annotations: { 'nodeport-lb.io/proxy-protocol': 'v2' },
      spec: { ipFamilyPolicy: 'RequireDualStack' },
    });
    await says(/^userspace: the PROXY protocol is written by userspace$/, proxied);
    expect(await program('status', '-A', '-o', 'wide')).toMatch(
      / proxied .* userspace \(the PROXY protocol is written by userspace\) /,
    );
    await proxied.annotate({ 'nodeport-lb.io/proxy-protocol': null, 'nodeport-lb.io/retry': 'true' });
    await says(/^userspace: another target is tried for the same connection by userspace alone$/, proxied);
    await says(/^nftables: /);
  });

  test('a port of SCTP is served by the kernel, beside one of TCP: what comes for it arrives at a NodePort', async () => {
    const signals = await makeService(lab, namespace, 'signals', {
      ports: [
        { name: 'tcp', port: 3868, targetPort: 'http' },
        { name: 'sctp', port: 3868, targetPort: 8080, protocol: 'SCTP' },
      ],
    });
    await says(/^nftables: rights, machine and rule allow it$/, signals);
    const address = await signals.address(SLOW_MS);
    const nodePort = (await signals.read()).spec.ports?.find(({ protocol }) => protocol === 'SCTP')?.nodePort;
    for (const { net } of lab.nodes) await run('ip', ['netns', 'exec', net.namespace, 'nft', countSctp(nodePort)]);
    const seen = async () => {
      await sendSctpInit(lab.nodes[0]!.net.namespace, address, 3868);
      const all = lab.nodes.map(({ net }) => run('ip', ['netns', 'exec', net.namespace, 'nft', 'list', 'table', 'inet', 'seen']));
      return (await Promise.all(all)).some(({ stdout }) => /packets [1-9]/.test(stdout));
    };
    await until(seen, { withinMs: SLOW_MS, what: 'the packet at a node' });
    const { ports = [] } = (await signals.read()).status.loadBalancer.ingress?.[0] ?? {};
    expect(ports.filter(({ error }) => error !== undefined)).toEqual([]);
  });

  test('the table goes with the controller, killed or not', async () => {
    expect(await tables()).toMatch(/nodeport-lb-pid-/);
    await controller.kill();
    await until(async () => !(await tables()).includes('nodeport-lb-pid-'), { withinMs: 2 * SLOW_MS, what: 'the table is gone' });
    await restart('nftables');
    await says(/^nftables: as asked for$/);
    await controller.stop(2 * SLOW_MS);
    expect(await tables()).not.toContain('nodeport-lb');
  });

  async function restart(datapath: string): Promise<void> {
    if (controller.alive) await controller.stop(2 * SLOW_MS);
    controller = startController(lab, { args: [...POOLS, '--local-datapath', datapath] });
  }

  async function nodePortOf(protocol: string): Promise<number> {
    const { ports = [] } = (await web.read()).spec;
    return ports.find((port) => (port.protocol ?? 'TCP') === protocol)?.nodePort ?? 0;
  }

  /** Once both are there. */
  async function publishedAddresses(): Promise<readonly string[]> {
    await web.address(SLOW_MS);
    return until(
      async () => {
        const found = ((await web.read()).status.loadBalancer.ingress ?? []).map(({ ip = '' }) => ip);
        if (found.length !== 2) throw new Error(`published are ${found.join()}`);
        return found;
      },
      { withinMs: SLOW_MS, what: 'two addresses are published' },
    );
  }

  /**
   * TCP through the address enters every node, and datagrams are answered. Userspace takes the address of a node that answers first;
   * the kernel does not translate between families.
   */
  async function leadsEverywhere(address: string, by: 'userspace' | 'kernel' = 'userspace'): Promise<void> {
    const url = `http://${hostOf(address)}/`;
    await until(async () => (await lab.client.json(url, 2_000)).pod, { withinMs: SLOW_MS, what: `${url} answers` });
    const entries = async () => Promise.all(lab.nodes.map((node) => entered(node, familiesOf(address, by))));
    await until(
      async () => {
        const before = await entries();
        const { failures } = await lab.client.burst(url, 30);
        if (failures.length > 0) throw new Error(failures[0]!.message);
        const counts = (await entries()).map((count, i) => count - before[i]!);
        if (counts.some((count) => count === 0)) throw new Error(`entered were ${counts.join()}`);
        return true;
      },
      { withinMs: SLOW_MS, what: `requests to ${url} enter all nodes` },
    );
    const flow = await lab.client.flow({ host: address, port: 80, perSecond: 20 });
    await until(async () => (await flow.read()).answered > 5, { withinMs: SLOW_MS, what: `${address} answers datagrams` });
    await flow.end();
  }

  async function entered(node: LabNode, families: readonly ('ip' | 'ip6')[]): Promise<number> {
    const nodePort = await nodePortOf('TCP');
    const counts = await Promise.all(families.map((family) => node.entered(nodePort, 'requests', family)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** The controller's note on the Service becomes this. */
  async function says(note: RegExp, service = web): Promise<void> {
    await until(
      async () => {
        const found = (await service.read()).metadata.annotations?.['nodeport-lb.io/datapath'] ?? '';
        if (!note.test(found)) throw new Error(`it says ${found}; ${(await service.condition())?.message}`);
        return true;
      },
      { withinMs: SLOW_MS, what: `${service.name} says ${note.source}` },
    );
  }

  async function forward(value: 0 | 1): Promise<void> {
    for (const path of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'])
      await onHub(['sh', '-c', `echo ${value} >/proc/sys/net/${path}`]);
  }

  async function forwarding(): Promise<readonly string[]> {
    const read = await onHub(['cat', '/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/ipv6/conf/all/forwarding']);
    return read.trim().split('\n');
  }

  function tables(): Promise<string> {
    return onHub(['nft', 'list', 'tables']);
  }

  async function program(...args: string[]): Promise<string> {
    const bin = new URL('../../src/bin.js', import.meta.url).pathname;
    return onHub([process.execPath, bin, ...args, '--kubeconfig', lab.plane.users.admin.kubeconfig]);
  }

  async function onHub([command = '', ...args]: readonly string[]): Promise<string> {
    return (await run('nsenter', [`--net=/run/netns/${lab.plane.hub}`, command, ...args])).stdout;
  }
});

/** Of packets that enter a node. */
function countSctp(nodePort: number | undefined): string {
  return `table inet seen { chain c { type filter hook prerouting priority -300; sctp dport ${nodePort} counter; }; }`;
}

function familiesOf(address: string, by: 'userspace' | 'kernel'): readonly ('ip' | 'ip6')[] {
  if (by === 'userspace') return ['ip', 'ip6'];
  return address.includes(':') ? ['ip6'] : ['ip'];
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function withLength(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

function nodad(address: string): readonly string[] {
  return address.includes(':') ? ['nodad'] : [];
}
