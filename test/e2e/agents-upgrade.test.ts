import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startAgent } from './lab/forwarder-agent.ts';
import { type Lab, startLab } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import type { Process } from './lab/process.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

const PATIENCE_MS = 60_000;

/** An agent that is replaced by another on the same node, as a DaemonSet does with a surge: the new one starts, then the old one ends. */
describe('an agent takes the place of another', () => {
  const namespace = 'upgrade';
  const userspace = ['--local-datapath', 'userspace'];
  const kernel = ['--local-datapath', 'nftables'];
  let lab: Lab;
  let controller: Process;
  let node: LabNode;
  let agent: Process;
  let web: LabService;

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const pods = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes.slice(1), ports });
    node = lab.nodes[0]!;
    agent = startAgent(lab, node, { args: userspace });
    controller = startController(lab, { args: ['--local-forwarder', 'agents'] });
    web = await makeService(lab, namespace, 'web', { ports: [{ port: 8000, targetPort: 'http' }] });
    await sliced(lab.api, web, pods.pods);
    expect(await web.address(PATIENCE_MS)).toBe(node.address);
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function answered(): Promise<void> {
    const answers = async () => (await web.answers(node.address, 8000).catch(() => '')).startsWith('web-');
    await until(answers, { withinMs: PATIENCE_MS, what: 'the Service answers' });
  }

  /** What the controller would write if it took the agent for dead, or for one that has let go. */
  async function written(): Promise<string> {
    const { status, metadata } = await web.read();
    return JSON.stringify([status, { ...metadata.annotations, 'nodeport-lb.io/datapath': undefined }]); // which may be another now
  }

  async function replace(args: readonly string[]): Promise<void> {
    const next = startAgent(lab, node, { args });
    await next.logged(/following the cluster/, PATIENCE_MS);
    await agent.logged(/another agent takes the place of this one/, PATIENCE_MS);
    await agent.stop(PATIENCE_MS);
    agent = next;
  }

  test.each([
    { from: 'userspace', to: 'userspace', args: [...userspace, '--log-level', 'debug'] },
    { from: 'userspace', to: 'nftables', args: kernel },
    { from: 'nftables', to: 'nftables', args: [...kernel, '--log-level', 'debug'] },
    { from: 'nftables', to: 'userspace', args: userspace },
  ])(
    'from $from to $to, under new connections without a pause: not one fails, and the Service stays as it is',
    async ({ args }) => {
      await answered();
      const before = await written();
      const load = await lab.client.load({ url: `http://${node.address}:8000/`, connections: 'new', perSecond: 200 });
      await until(async () => (await load.read()).answered > 100, { withinMs: PATIENCE_MS, what: 'traffic flows' });
      await replace(args);
      const had = (await load.read()).answered;
      await until(async () => (await load.read()).answered > had + 200, { withinMs: PATIENCE_MS, what: 'traffic goes on' });
      const { sent, failures } = await load.stop();
      expect(failures).toEqual([]);
      expect(sent).toBeGreaterThan(300);
      expect(await written()).toBe(before);
    },
  );

  test('one that is stopped, and started again soon: the kernel goes on meanwhile, and no connection fails', async () => {
    await replace(kernel);
    await answered();
    const before = await written();
    const held = await lab.client.hold(node.address, 8000);
    const load = await lab.client.load({ url: `http://${node.address}:8000/`, connections: 'new', perSecond: 100 });
    await until(async () => (await load.read()).answered > 50, { withinMs: PATIENCE_MS, what: 'traffic flows' });
    await agent.stop(PATIENCE_MS);
    const stopped = (await load.read()).answered;
    await until(async () => (await load.read()).answered > stopped, { withinMs: PATIENCE_MS, what: 'the kernel goes on' });
    agent = startAgent(lab, node, { args: kernel });
    await agent.logged(/following the cluster/, PATIENCE_MS);
    const had = (await load.read()).answered;
    await until(async () => (await load.read()).answered > had + 100, { withinMs: PATIENCE_MS, what: 'traffic goes on' });
    expect((await load.stop()).failures).toEqual([]);
    expect((await held.read()).open).toBe(true);
    await held.end();
    expect(await written()).toBe(before);
  });

  test('one in userspace that is stopped serves on while its connections drain', async () => {
    await replace(userspace);
    await answered();
    const held = await lab.client.hold(node.address, 8000);
    await until(async () => (await held.read()).ticks > 0, { withinMs: PATIENCE_MS, what: 'the connection to be established' });
    agent.signal('SIGTERM');
    await agent.logged(/stopping/, PATIENCE_MS);
    await answered();
    await held.end();
    await until(() => !agent.alive, { withinMs: PATIENCE_MS, what: 'its end, when nobody is left from before' });
    expect(await lab.client.knock(node.address, 8000)).toBe('refused');
    agent = startAgent(lab, node, { args: userspace });
    await answered();
  });

  test('when the new one dies before the old one was told to end, the old one serves again', async () => {
    const next = startAgent(lab, node, { args: userspace });
    await next.logged(/following the cluster/, PATIENCE_MS);
    await next.kill();
    await agent.logged(/this one goes on/, PATIENCE_MS);
    await answered();
    await replace(userspace);
    await answered();
  });

  test('a Service that is deleted meanwhile is let go of by the new one', async () => {
    const other = await makeService(lab, namespace, 'other', { ports: [{ port: 8001, targetPort: 'http' }] });
    await other.address(PATIENCE_MS);
    const next = startAgent(lab, node, { args: userspace });
    await lab.api.delete(other.path);
    await other.deleted();
    expect(await lab.client.knock(node.address, 8001)).toBe('refused');
    await next.logged(/following the cluster/, PATIENCE_MS);
    await agent.stop(PATIENCE_MS);
    agent = next;
    await answered();
    await controller.stop(PATIENCE_MS);
  });
});
