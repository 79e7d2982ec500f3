import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { CONDITION } from '../../src/controller/claim.ts';
import type { RunningController } from '../../src/controller/start.ts';
import type { SandboxAws } from '../../src/sandbox/aws/aws.ts';
import type { Running } from '../controller/running.ts';
import { accountEnv, makeAws, makeProvider } from '../providers/aws/stage.ts';
import { runWorkers } from '../providers/aws/workers.ts';
import { call } from './call.ts';

jest.setTimeout(120_000); // a controller at work, on a machine that may be busy

let aws: SandboxAws;
let cluster: Running;
let controller: RunningController;
let folder: string;
const environment = process.env;

beforeEach(async () => {
  aws = await makeAws();
  cluster = await runWorkers();
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
  await cluster.kube.writeKubeconfig(join(folder, 'kubeconfig'));
  process.env = { ...environment, ...accountEnv(aws) };
  controller = await cluster.start(makeProvider(aws));
  cluster.create('web', { ports: [{ port: 80, nodePort: 30_080 }] });
  await cluster.until('Ready', () => condition()?.status === 'True');
});
afterEach(async () => {
  process.env = environment;
  await cluster.close();
  await aws.close();
  await rm(folder, { recursive: true });
});

const condition = () => cluster.service('web')?.conditions.find(({ type }) => type === CONDITION);

async function status(...args: string[]) {
  const called = call(['status', ...args, '--kubeconfig', join(folder, 'kubeconfig')]);
  const code = await called.ended;
  return { code, stderr: called.stderr(), stdout: called.stdout() };
}

/** The second node’s instance fails its check from now on. */
function sicken(): void {
  const { arn } = aws.targetGroups()[0]!;
  const { id } = aws.targetsOf(arn).find((target) => target.id.endsWith('2'))!;
  aws.setTargetHealth(arn, { id, port: 30_080 }, 'unhealthy');
}

test('health is read when a person asks, and told with its age; nothing is written', async () => {
  await controller.stop(0); // which would hear of it, too
  sicken();
  const { resourceVersion } = cluster.service('web')!;
  aws.calls.reset();
  const { code, stdout } = await status('default/web', '--probe');
  expect(code).toBe(0);
  expect(stdout.slice(stdout.indexOf('Health of'), stdout.indexOf('Endpoints'))).toMatch(
    /^Health of the targets, as provider aws says\n {2}n1 at port 30080: healthy, read \ds ago\n {2}n2 at port 30080: unhealthy \(Health checks failed\), read \ds ago\n {2}n3 at port 30080: healthy, read \ds ago\n$/,
  );
  expect(Object.keys(aws.calls.counts()).filter((action) => !action.startsWith('Describe'))).toEqual([]);
  expect(cluster.service('web')!.resourceVersion).toBe(resourceVersion);
  const { services } = JSON.parse((await status('default/web', '--probe', '-o', 'json')).stdout);
  expect(services[0].targetHealth).toHaveLength(3);
  expect(services[0].targetHealth[1]).toMatchObject({
    node: 'n2',
    port: 30_080,
    health: 'unhealthy',
    reason: 'Health checks failed',
    asOf: expect.stringMatching(/^20.*Z$/),
  });
});

test('the condition says when an unhealthy target was read', async () => {
  await controller.stop(0);
  controller = await cluster.start(makeProvider(aws, { closeLookMs: 100 })); // else every six hours
  sicken();
  await cluster.until('Degraded', () => condition()?.reason === 'Degraded');
  const [, at = ''] = /n2 \(Health checks failed, read at (\S+Z)\)/.exec(condition()?.message ?? '') ?? [];
  expect(Math.abs(Date.now() - Date.parse(at))).toBeLessThan(60_000);
});

test('who asks for what nobody can be asked is told so', async () => {
  await expect(status('--probe')).rejects.toThrow(/--probe: asks the provider about one Service/);
  cluster.create('plain', { type: 'ClusterIP' });
  expect((await status('default/plain', '--probe')).stdout).toMatch(/cannot be asked for: no provider holds a balancer for it/);
});
