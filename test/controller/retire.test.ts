import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { CONDITION, FINALIZER, OUR_ANNOTATIONS } from '../../src/controller/claim.ts';
import { endAll, run } from '../cli/run.ts';
import { MemoryCloud, MemoryProvider } from './memory-provider.ts';
import { type Running, runSandbox } from './running.ts';

/** Before a controller is removed: `nodeport-lb retire` and the leader, over the note on the Lease. */

let cluster: Running;
let cloud: MemoryCloud;
let folder: string;
let kubeconfig: string;

beforeEach(async () => {
  cluster = await runSandbox();
  cloud = new MemoryCloud();
  cluster.addNode('a', '10.0.0.1');
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
  kubeconfig = join(folder, 'kubeconfig');
  await cluster.kube.writeKubeconfig(kubeconfig);
});
afterEach(async () => {
  endAll();
  await cluster.close();
  await rm(folder, { recursive: true });
});

const elect = { leaderElect: true, leaderElectNamespace: 'default' };
const retire = (...args: string[]) => run(['retire', '--kubeconfig', kubeconfig, '--leader-elect-namespace', 'default', ...args]);
const isReady = (name: string) => cluster.service(name)?.conditions.some((c) => c.type === CONDITION && c.status === 'True');

/** What of ours is on the Service. */
function marksOn(name: string): readonly unknown[] {
  const { finalizers, annotations, conditions, ingress } = cluster.service(name)!;
  const ours = OUR_ANNOTATIONS.filter((annotation) => annotations[annotation] !== undefined);
  return [...finalizers.filter((f) => f === FINALIZER), ...ours, ...conditions, ...ingress];
}

test('every balancer goes, the Services stay, and none is made until that is undone', async () => {
  await cluster.start(new MemoryProvider(cloud), elect);
  cluster.create('web');
  cluster.create('mail');
  await cluster.until('both are served', () => isReady('web') === true && isReady('mail') === true);
  expect(await retire()).toMatchObject({ code: 0, stdout: 'no Service has a balancer any more\n' });
  expect([...cloud.balancers.keys()]).toEqual([]);
  expect([...marksOn('web'), ...marksOn('mail')]).toEqual([]);
  const from = cluster.kube.audit.length;
  cluster.create('late');
  expect(await retire()).toMatchObject({ code: 0, stderr: '' }); // at once: nobody holds anything
  expect(cluster.writes(from).filter((write) => write.includes('services'))).toEqual([]);
  expect(await retire('--undo')).toMatchObject({ code: 0 });
  await cluster.until('all are served', () => ['web', 'mail', 'late'].every((name) => isReady(name)));
}, 120_000);

test('the next one to lead takes down what the one before had not', async () => {
  await cluster.start(new MemoryProvider(cloud), elect).then(async (first) => {
    cluster.create('web');
    await cluster.until('it is served', () => isReady('web') === true);
    await first.stop(0);
  });
  const asked = retire();
  await cluster.start(new MemoryProvider(cloud), elect);
  expect(await asked).toMatchObject({ code: 0 });
  expect([...cloud.balancers.keys()]).toEqual([]);
  expect(marksOn('web')).toEqual([]);
}, 120_000);

test('where no controller stands for leader it says so', async () => {
  const answer = await retire();
  expect(answer.code).toBe(2);
  expect(answer.stderr).toMatch(/there is no Lease default\/nodeport-lb.*--leader-elect/s);
}, 120_000);
