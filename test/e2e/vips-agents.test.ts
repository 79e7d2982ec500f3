import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { prefixOf } from './lab/claim.ts';
import type { LoadResult } from './lab/client.ts';
import { run, tryRun } from './lab/command.ts';
import { startAgent } from './lab/forwarder-agent.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { makeGuestNet } from './lab/network.ts';
import type { LabNode } from './lab/node.ts';
import type { Process } from './lab/process.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

/** Less than a second on a quiet machine; this one may be busy. */
const PATIENT_MS = 60_000;
/** Longer than the hold-down and a takeover. */
const CALM_MS = 2_500;
const POOL = '172.31.77.220-172.31.77.229';
/** Of 50 a second, by the two moves of a replacement. */
const MOST_CUT = 3;

/** The real program on real nodes: addresses of a pool that no machine has, held by one agent at a time. */
describe('agents that hold addresses by turns', () => {
  const namespace = 'vips';
  const agents = new Map<string, Process>();
  let lab: Lab;
  let web: LabService;
  let vip: string;

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const pods = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes.slice(0, 2), ports });
    for (const node of lab.nodes) start(node);
    startController(lab, { args: ['--local-forwarder', 'agents', '--local-pool', POOL] });
    web = await makeService(lab, namespace, 'web', { ports: [{ port: 80, targetPort: 'http' }] });
    await sliced(lab.api, web, pods.pods);
    vip = await web.address(60_000);
  });

  afterAll(async () => {
    await lab?.close();
  });

  function start(node: LabNode): void {
    agents.set(
      node.name,
      startAgent(lab, node, { args: ['--local-vips', '--local-vip-hold-seconds', '1', '--drain-seconds', '1'] }),
    );
  }

  async function has(node: LabNode): Promise<boolean> {
    const { stdout } = await run('ip', ['-n', node.net.namespace, '-o', 'addr', 'show', 'to', vip]);
    return stdout !== '';
  }

  async function holders(): Promise<readonly LabNode[]> {
    const held = await Promise.all(lab.nodes.map(has));
    return lab.nodes.filter((_, i) => held[i]);
  }

  /** Waits until just one node has held the address for a while, out of these, and it answers. */
  async function heldBy(some: readonly LabNode[]): Promise<LabNode> {
    let since = { holder: '', atMs: 0 };
    const holder = await until(
      async () => {
        const found = await holders();
        const name = found.map((node) => node.name).join();
        if (name !== since.holder) since = { holder: name, atMs: Date.now() };
        return found.length === 1 && some.includes(found[0]!) && Date.now() - since.atMs >= CALM_MS ? found[0] : undefined;
      },
      { withinMs: PATIENT_MS, what: `one of ${some.map((node) => node.name).join(', ')} holds ${vip}` },
    );
    await until(async () => /^web-/.test(await web.answers(vip, 80)), { withinMs: PATIENT_MS, what: `${vip} answers` });
    return holder;
  }

  /** A request that is under way just when the address moves is cut, as its connection stays behind: on a busy machine it may take that long. */
  function beyondTheMove(failures: LoadResult['failures']): LoadResult['failures'] {
    const cut = failures.filter(({ message }) => message.includes('read ECONNRESET'));
    return cut.length <= MOST_CUT ? failures.filter((failure) => !cut.includes(failure)) : failures;
  }

  const others = (node: LabNode) => lab.nodes.filter((other) => other !== node);

  test('a Service has an address of the pool, which one node holds and answers at', async () => {
    expect(vip).toMatch(/^172\.31\.77\.22\d$/);
    await heldBy(lab.nodes);
    expect((await web.condition())?.reason).toBe('Ready');
  });

  test('the agent that holds it is killed, and another takes over', async () => {
    const holder = await heldBy(lab.nodes);
    await agents.get(holder.name)!.kill();
    await heldBy(others(holder));
    start(holder);
    await heldBy(lab.nodes);
  });

  test('without the API server it still moves, and an agent that is started anew takes part', async () => {
    const holder = await heldBy(lab.nodes);
    await lab.stopApiServer();
    await agents.get(holder.name)!.kill();
    await heldBy(others(holder));
    start(holder);
    await heldBy(lab.nodes);
    await lab.restartApiServer();
    await agents.get(holder.name)!.logged(/following the cluster/, 60_000);
    await heldBy(lab.nodes);
  });

  test('an agent that is stopped hands it over first: every connection meanwhile is answered', async () => {
    const holder = await heldBy(lab.nodes);
    const stopped = agents.get(holder.name)!.stop(60_000);
    let answered = 0;
    while (agents.get(holder.name)!.alive) {
      expect(await web.answers(vip, 80)).toMatch(/^web-/);
      answered += 1;
    }
    await stopped;
    expect(answered).toBeGreaterThan(0);
    await heldBy(others(holder));
    start(holder);
    await heldBy(lab.nodes);
  });

  test('an agent that is replaced by another on its node hands it over first, and gets it back: no new connection fails', async () => {
    const holder = await heldBy(lab.nodes);
    const old = agents.get(holder.name)!;
    const load = await lab.client.load({ url: `http://${vip}/`, connections: 'new', perSecond: 50, timeoutMs: 10_000 });
    await until(async () => (await load.read()).answered > 50, { withinMs: PATIENT_MS, what: 'traffic flows' });
    start(holder);
    await agents.get(holder.name)!.logged(/taking the place of the agent/, PATIENT_MS);
    await heldBy(lab.nodes);
    await old.stop(60_000);
    await heldBy(lab.nodes);
    const { failures, answered } = await load.stop();
    console.log(`${failures.length} of ${answered} requests were cut by the two moves`);
    expect(beyondTheMove(failures)).toEqual([]);
  });

  test('an address that another machine has is left to it: a Service gets the next one, and none is held twice', async () => {
    const [taken, next] = [1, 2].map((more) => vip.replace(/\d+$/, (last) => String(Number(last) + more)));
    await makeGuestNet(lab.plane.hub, `${prefixOf(lab.claim)}guest`, taken!);
    const second = await makeService(lab, namespace, 'second', { ports: [{ port: 81, targetPort: 'http' }] });
    expect(await second.address(60_000)).toBe(next);
    for (const { net } of lab.nodes) {
      expect((await run('ip', ['-n', net.namespace, '-o', 'addr', 'show', 'to', taken!])).stdout).toBe('');
    }
    await lab.api.delete(second.path);
    await second.deleted(60_000);
  });

  test('the address is let go of with its Service, and --cleanup finds nothing but the agent’s own', async () => {
    await lab.api.delete(web.path);
    await web.deleted(60_000);
    await until(async () => (await holders()).length === 0, { withinMs: PATIENT_MS, what: `${vip} is on no link` });
    const [node] = lab.nodes;
    await agents.get(node!.name)!.stop(60_000);
    expect((await tryRun('ip', ['-n', node!.net.namespace, '-o', 'addr', 'show', 'label', '*:nplb'])).stdout).toBe('');
  });
});
