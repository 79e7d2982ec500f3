import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { prefixOf } from './lab/claim.ts';
import { run } from './lab/command.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { makeGuestNet } from './lab/network.ts';
import { makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

const STRANGER = '172.31.77.240';
const OURS = '172.31.77.241';
const STRANGER_6 = 'fd00:77::240';
const PATIENCE_MS = 60_000;

/** A pool on the machine's own segment, of which another machine has an address already. */
describe('an address of a pool that another machine has', () => {
  const namespace = 'strangers';
  let lab: Lab;
  let guest: string;

  beforeAll(async () => {
    lab = await startLab({ nodes: 1 });
    guest = await makeGuestNet(lab.plane.hub, `${prefixOf(lab.claim)}guest`, STRANGER);
    await run('ip', ['-n', guest, 'addr', 'add', `${STRANGER_6}/64`, 'dev', 'eth0', 'nodad']);
    await run('ip', ['-n', lab.plane.hub, 'addr', 'add', `${OURS}/24`, 'dev', 'br0']);
    await lab.namespace(namespace);
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function hardwareOf(): Promise<string> {
    const { stdout } = await run('ip', ['-n', guest, '-j', 'link', 'show', 'eth0']);
    return (JSON.parse(stdout) as { address: string }[])[0]!.address;
  }

  async function findStranger(address: string): Promise<string | null> {
    const script = join(import.meta.dirname, 'stranger-process.ts');
    const inHub = ['nsenter', `--net=/run/netns/${lab.plane.hub}`, process.execPath, script, address];
    return JSON.parse((await run(inHub[0]!, inHub.slice(1))).stdout) as string | null;
  }

  test('is left to it: a Service gets the next one, and one that asks for it is told who has it', async () => {
    const ports = [{ name: 'http', port: 8080 }];
    const pods = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes, ports });
    startController(lab, { args: ['--local-pool', `${STRANGER}-${OURS}`] });
    const web = await makeService(lab, namespace, 'web', { ports: [{ port: 8000, targetPort: 'http' }] });
    await sliced(lab.api, web, pods.pods);
    expect(await web.address(PATIENCE_MS)).toBe(OURS);
    await until(async () => (await web.answers(OURS, 8000).catch(() => '')) !== '', { withinMs: PATIENCE_MS, what: 'an answer' });
    const annotations = { 'nodeport-lb.io/addresses': STRANGER };
    const asking = await makeService(lab, namespace, 'asking', { ports: [{ port: 8001, targetPort: 'http' }], annotations });
    const condition = await until(
      async () => {
        const found = await asking.condition();
        return found?.reason === 'AddressDuplicate' ? found : undefined;
      },
      { withinMs: PATIENCE_MS, what: 'the reason' },
    );
    expect(condition.message).toContain(await hardwareOf());
  });

  test('is found by IPv6 neighbour discovery, and by the kernel where it has been put on this machine', async () => {
    const hub = ['-n', lab.plane.hub];
    await run('ip', [...hub, 'addr', 'add', 'fd00:77::1/64', 'dev', 'br0', 'nodad']);
    expect(await findStranger(STRANGER_6)).toContain(await hardwareOf());
    expect(await findStranger('fd00:77::241')).toBeNull();
    expect(await findStranger(OURS)).toBeNull();
    await run('ip', [...hub, 'addr', 'add', `${STRANGER_6}/64`, 'dev', 'br0']);
    const failed = async () => (await run('ip', [...hub, '-6', 'addr', 'show', 'dev', 'br0'])).stdout.includes('dadfailed');
    await until(failed, { withinMs: PATIENCE_MS, what: 'the kernel to have found it' });
    expect(await findStranger(STRANGER_6)).toContain('duplicate address detection');
  });
});
