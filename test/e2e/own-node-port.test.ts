import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from './lab/command.ts';
import { startAgent } from './lab/forwarder-agent.ts';
import { type Lab, startLab } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import type { Process } from './lab/process.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

const SLOW_MS = 90_000;

/** A cluster of one node: all that an agent there could send to is the NodePort of its own machine, which is no socket but kube-proxy's rule. */
describe('an agent whose only target is its own node', () => {
  const namespace = 'own';
  let lab: Lab;
  let node: LabNode;
  let agent: Process;
  let web: LabService;

  beforeAll(async () => {
    lab = await startLab({ nodes: 1 });
    node = lab.nodes[0]!;
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const { pods } = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: [node], ports });
    web = await makeService(lab, namespace, 'web', { ports: [{ port: 8000, targetPort: 'http' }] });
    await sliced(lab.api, web, pods);
  });

  afterAll(async () => {
    await lab?.close();
  });

  /** Why the kernel path leaves such targets out: should this ever be answered, it need not. */
  test('what the kernel has translated to a NodePort of its own, kube-proxy does not translate again', async () => {
    const nodePort = (await web.read()).spec.ports![0]!.nodePort!;
    await until(() => lab.client.json(`http://${node.address}:${nodePort}/`, 2_000), {
      withinMs: SLOW_MS,
      what: 'the NodePort answers',
    });
    const rule = `ip daddr ${node.address} tcp dport 8001 counter dnat ip to ${node.address}:${nodePort}`;
    const chain = `chain first {\ntype nat hook prerouting priority -105;\n${rule}\n}`;
    await onNode(['-f', '-'], `table inet trial {\n${chain}\n}\n`);
    expect(await lab.client.knock(node.address, 8001)).toBe('refused');
    expect(await onNode(['list', 'table', 'inet', 'trial'])).toMatch(/counter packets [1-9]/);
    await onNode(['delete', 'table', 'inet', 'trial']);
  });

  test('auto serves in userspace and says why', async () => {
    agent = startAgent(lab, node);
    startController(lab, { args: ['--local-forwarder', 'agents'] });
    expect(await web.address(SLOW_MS)).toBe(node.address);
    expect(await web.answers(node.address, 8000, SLOW_MS)).toMatch(/^web-/);
    await until(async () => (await noteOf(web)).startsWith('userspace: its only targets are NodePorts of this very machine'), {
      withinMs: SLOW_MS,
      what: 'the Service says why',
    });
  });

  test('the kernel takes over when another node joins, and leaves its own node to it; alone again it is userspace', async () => {
    const other = await lab.addNode();
    await until(async () => (await noteOf(web)).startsWith('nftables: '), { withinMs: SLOW_MS, what: 'the kernel serves it' });
    await web.answers(node.address, 8000, SLOW_MS);
    await other.remove();
    await until(async () => (await noteOf(web)).startsWith('userspace: '), {
      withinMs: SLOW_MS,
      what: 'userspace serves it again',
    });
    await web.answers(node.address, 8000, SLOW_MS);
  });

  test('where nftables is asked for, it is refused by name', async () => {
    await agent.stop(SLOW_MS);
    startAgent(lab, node, { args: ['--local-datapath', 'nftables'] });
    expect(await web.refused('NeedsUserspace', SLOW_MS)).toContain('NodePorts of this very machine');
  });

  async function onNode(args: readonly string[], input = ''): Promise<string> {
    return (await run('nsenter', [`--net=/run/netns/${node.net.namespace}`, 'nft', ...args], { input })).stdout;
  }

  async function noteOf(service: LabService): Promise<string> {
    return (await service.read()).metadata.annotations?.['nodeport-lb.io/datapath'] ?? '';
  }
});
