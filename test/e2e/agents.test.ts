import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { tryRun } from './lab/command.ts';
import { startAgent } from './lab/forwarder-agent.ts';
import { type Lab, startLab } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import { Process } from './lab/process.ts';
import { entriesDuring, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

/** A Lease of 15 s, and what a busy machine adds. */
const DEAD_MS = 60_000;

/** Agents on real nodes: the controller gives out the nodes' own addresses, and each agent listens at its node's. */
describe('forwarder agents on the nodes', () => {
  const namespace = 'agents';
  const agents = new Map<string, Process>();
  let lab: Lab;
  let controller: Process;
  let web: LabService;

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const pods = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes.slice(0, 2), ports });
    for (const node of lab.nodes) start(node);
    controller = startController(lab, { args: ['--local-forwarder', 'agents'] });
    web = await makeService(lab, namespace, 'web', { ports: [{ port: 8000, targetPort: 'http' }] });
    await sliced(lab.api, web, pods.pods);
  });

  afterAll(async () => {
    await lab?.close();
  });

  function start(node: LabNode): void {
    agents.set(node.name, startAgent(lab, node));
  }

  function agentOf(node: LabNode): Process {
    return agents.get(node.name)!;
  }

  async function published(service: LabService): Promise<readonly string[]> {
    const { status } = await service.read();
    return (status.loadBalancer.ingress ?? []).map(({ ip = '' }) => ip).sort();
  }

  async function publishes(service: LabService, nodes: readonly LabNode[], withinMs = 60_000): Promise<void> {
    const wanted = nodes.map(({ address }) => address).sort();
    await until(
      async () => {
        const found = await published(service);
        if (found.join() !== wanted.join())
          throw new Error(`published are ${found.join()}; ${(await service.condition())?.message}`);
        return true;
      },
      { withinMs, what: `${service.name} is published at ${wanted.join()}` },
    );
  }

  test('a Service has the addresses of the nodes, and answers at each; kubectl shows them', async () => {
    await publishes(web, lab.nodes);
    for (const { address } of lab.nodes) expect(await web.answers(address, 8000)).toMatch(/^web-/);
    const { ipMode } = (await web.read()).status.loadBalancer.ingress![0]!;
    expect(ipMode).toBe('Proxy');
    const [first] = lab.nodes;
    expect(await lab.kubectl(['get', 'service', 'web', '-n', namespace])).toContain(first!.address);
    expect((await web.condition())?.reason).toBe('Ready');
  });

  test('ports that nodes need themselves are refused by name, and the other ports of the Service are served', async () => {
    const shell = await makeService(lab, namespace, 'shell', {
      ports: [
        { name: 'ssh', port: 22, targetPort: 'http' },
        { name: 'web', port: 8022, targetPort: 'http' },
      ],
    });
    expect(await shell.refused('NodePortReserved')).toContain('22/TCP');
    await publishes(shell, lab.nodes);
    expect(await shell.answers(lab.nodes[0]!.address, 8022)).toMatch(/^web-/);
    await lab.api.delete(shell.path);
    await shell.deleted();
  });

  test('a port that another Service has at the nodes is refused, and is free once that one has gone', async () => {
    const rival = await makeService(lab, namespace, 'rival', { ports: [{ port: 8000, targetPort: 'http' }] });
    expect(await rival.refused('AddressInUse')).toContain(`${namespace}/web`);
    await lab.api.delete(rival.path);
    await rival.deleted();
    const early = await makeService(lab, namespace, 'early', { ports: [{ port: 8001, targetPort: 'http' }] });
    const late = await makeService(lab, namespace, 'late', { ports: [{ port: 8001, targetPort: 'http' }] });
    await late.refused('AddressInUse');
    await lab.api.delete(early.path);
    await early.deleted();
    await publishes(late, lab.nodes);
    await lab.api.delete(late.path);
    await late.deleted();
  });

  test('a port that is the nodePort of another Service is refused by its name, and served when that has another one', async () => {
    const nodePorts = async (service: LabService) => (await service.read()).spec.ports?.map(({ nodePort }) => nodePort) ?? [];
    const [taken = 0] = await nodePorts(web);
    const clashing = await makeService(lab, namespace, 'clashing', { ports: [{ port: taken, targetPort: 'http' }] });
    expect(await clashing.refused('PortInUse')).toContain(`nodePort of ${namespace}/web`);
    await lab.api.delete(clashing.path);
    await clashing.deleted();
    const api = await makeService(lab, namespace, 'api', { ports: [{ port: 81, targetPort: 'http' }], type: 'NodePort' });
    const [free = 0] = await nodePorts(api);
    const patient = await makeService(lab, namespace, 'patient', { ports: [{ port: free, targetPort: 'http' }] });
    await patient.refused('PortInUse');
    await lab.api.delete(api.path);
    await publishes(patient, lab.nodes);
    expect(await patient.answers(lab.nodes[0]!.address, free)).toMatch(/^web-/);
    const ports = [{ port: 82, nodePort: free, targetPort: 'http' }];
    const late = await makeService(lab, namespace, 'late', { ports, type: 'NodePort' });
    await patient.event('LoadBalancerNotes', new RegExp(`nodePort of ${namespace}/late`), 60_000);
    await lab.api.delete(late.path);
    await lab.api.delete(patient.path);
    await patient.deleted();
  });

  test('a node where some process has the port is left out, and an event says which process', async () => {
    const [first, ...others] = lab.nodes;
    const holder = new Process({
      name: 'port-holder',
      namespace: first!.net.namespace,
      command: process.execPath,
      args: ['-e', `require('node:net').createServer().listen(8200, '${first!.address}')`],
      logFile: join(lab.plane.directory, 'port-holder.log'),
    });
    await until(async () => (await lab.client.knock(first!.address, 8200)) === 'open', {
      withinMs: 10_000,
      what: 'the port is held',
    });
    const taken = await makeService(lab, namespace, 'taken', { ports: [{ port: 8200, targetPort: 'http' }] });
    await publishes(taken, others);
    await taken.event('LoadBalancerNotes', new RegExp(`${first!.address}.*held by`));
    await holder.kill();
    await publishes(taken, lab.nodes);
    await lab.api.delete(taken.path);
    await taken.deleted();
  });

  test('under policy Local just the nodes with a ready endpoint are published, as endpoints come and go', async () => {
    const [first, second] = lab.nodes;
    const local = await makeService(lab, namespace, 'local', {
      ports: [{ port: 8300, targetPort: 'http' }],
      spec: { externalTrafficPolicy: 'Local' },
    });
    await publishes(local, [first!, second!]);
    expect(await local.answers(first!.address, 8300)).toMatch(/^web-/);
    const ports = [{ name: 'http', port: 8080 }];
    const late = await lab.pod({ namespace, name: 'late', labels: { app: 'web' }, node: lab.nodes[2]!, ports });
    await publishes(local, lab.nodes);
    await late.end();
    await publishes(local, [first!, second!]);
    await lab.api.delete(local.path);
    await local.deleted();
  });

  test('under policy Local just the nodes with an endpoint are asked, and a pod that moves is followed', async () => {
    const [first, second] = lab.nodes;
    const labels = { app: 'roaming' };
    const ports = [{ name: 'http', port: 8080 }];
    const before = await lab.pod({ namespace, name: 'roaming-1', labels, node: first!, ports });
    const roaming = await makeService(lab, namespace, 'roaming', {
      selector: labels,
      ports: [{ port: 8400, targetPort: 'http' }],
      spec: { externalTrafficPolicy: 'Local' },
    });
    await publishes(roaming, [first!]);
    const healthPort = (await roaming.read()).spec.healthCheckNodePort ?? 0;
    await asksAlone(first!, healthPort);
    const after = await lab.pod({ namespace, name: 'roaming-2', labels, node: second!, ports });
    await before.end();
    await publishes(roaming, [second!]);
    await asksAlone(second!, healthPort);
    expect(await roaming.answers(second!.address, 8400)).toBe(after.name);
    expect((await roaming.condition())?.reason).toBe('Ready');
    await after.crash();
    const isSaid = async () => (await roaming.condition())?.message.includes('none of its 3 nodes has an endpoint') ?? false;
    await until(isSaid, { withinMs: 60_000, what: 'it is said that no node has an endpoint' });
    await lab.api.delete(roaming.path);
    await roaming.deleted();
  });

  /** Waits until the agents of the other nodes have asked this one some times, and during that nobody any other. */
  async function asksAlone(node: LabNode, healthPort: number): Promise<void> {
    const some = async (): Promise<void> => {
      const before = await node.entered(healthPort);
      const what = `${node.name} is asked some times`;
      await until(async () => (await node.entered(healthPort)) >= before + 6, { withinMs: 60_000, what });
    };
    await until(
      async () => {
        const counts = await entriesDuring(lab, healthPort, some);
        const asked = lab.nodes.filter((_, i) => (counts[i] ?? 0) > 0).map(({ name }) => name);
        if (asked.join() !== node.name) throw new Error(`asked were ${asked.join(', ')}`);
        return true;
      },
      { withinMs: 120_000, what: `only ${node.name} is asked` },
    );
  }

  test('nodes that join, and nodes that are excluded, come and go in the status', async () => {
    const joined = await lab.addNode();
    start(joined);
    await publishes(web, lab.nodes);
    expect(await web.answers(joined.address, 8000)).toMatch(/^web-/);
    const exclude = 'node.kubernetes.io/exclude-from-external-load-balancers';
    await lab.api.patch(`/api/v1/nodes/${joined.name}`, { metadata: { labels: { [exclude]: 'true' } } });
    await publishes(
      web,
      lab.nodes.filter(({ name }) => name !== joined.name),
    );
    await agentOf(joined).stop(60_000);
    await joined.deleteObject();
    await until(
      async () =>
        (await lab.api.find(`/api/v1/namespaces/kube-system/configmaps/nodeport-lb-agent-${joined.name}`)) === undefined,
      {
        withinMs: 60_000,
        what: 'what the agent kept goes with its node',
      },
    );
    await joined.remove();
  });

  test('without the API server agents go on, also one that is started anew', async () => {
    const [node] = lab.nodes;
    await lab.stopApiServer();
    await agentOf(node!).kill();
    start(node!);
    expect(await web.answers(node!.address, 8000)).toMatch(/^web-/);
    await lab.restartApiServer();
    await agentOf(node!).logged(/following the cluster/, 60_000);
    await publishes(web, lab.nodes);
    expect(await web.answers(node!.address, 8000)).toMatch(/^web-/);
  });

  test('a Service that is deleted while the controller is away is held until the agents have let go', async () => {
    const brief = await makeService(lab, namespace, 'brief', { ports: [{ port: 8100, targetPort: 'http' }] });
    await publishes(brief, lab.nodes);
    await controller.kill();
    await lab.api.delete(brief.path);
    controller = startController(lab, { args: ['--local-forwarder', 'agents'] });
    await brief.deleted(60_000);
    for (const { address } of lab.nodes) await expect(lab.client.json(`http://${address}:8100/`, 2_000)).rejects.toThrow();
    await publishes(web, lab.nodes);
  });

  test('the address of a node whose agent dies goes when its Lease runs out, and it holds up no Service that leaves', async () => {
    const [node, ...others] = lab.nodes;
    const brief = await makeService(lab, namespace, 'brief', { ports: [{ port: 8100, targetPort: 'http' }] });
    await publishes(brief, lab.nodes);
    await agentOf(node!).kill();
    await lab.api.delete(brief.path);
    await brief.deleted(DEAD_MS);
    await publishes(web, others, DEAD_MS);
    start(node!);
    await publishes(web, lab.nodes);
  });

  test('the node of an agent that is stopped and does not come back is no way in until it does', async () => {
    const [first, second, third] = lab.nodes;
    await agentOf(third!).stop(60_000);
    await publishes(web, [first!, second!], DEAD_MS);
    const answers = async () => (await web.answers(third!.address, 8000).catch(() => '')) !== '';
    await until(async () => !(await answers()), { withinMs: DEAD_MS, what: 'the rules that it has left to end by themselves' });
    start(third!);
    await publishes(web, lab.nodes);
  });

  test('what a forwarder has left in the kernel and on disk is removed by --cleanup', async () => {
    const [, , third] = lab.nodes;
    const inNode = (...args: string[]) => tryRun('nsenter', [`--net=/run/netns/${third!.net.namespace}`, ...args]);
    await agentOf(third!).stop(60_000);
    expect((await inNode('nft', 'list', 'table', 'inet', 'nodeport-lb')).stdout).toContain('meta time >='); // for the next agent, and not for ever
    const cleaning = startAgent(lab, third, { args: ['--cleanup'] });
    expect((await cleaning.exited).code).toBe(0);
    expect(cleaning.log()).toMatch(/removed the nftables table[\s\S]*removed .*agent-rules.json/);
    expect((await inNode('nft', 'list', 'table', 'inet', 'nodeport-lb')).code).not.toBe(0);
  });
});
