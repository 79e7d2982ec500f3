import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Output, tryRun } from './lab/command.ts';
import { until } from './lab/until.ts';
import { type RealKube, startRealKube } from './real-kube.ts';

/** The admission policy of SECURITY.md, as it stands there, on the real API server. */
const SECURITY = readFileSync(join(import.meta.dirname, '../../SECURITY.md'), 'utf8');

let kube: RealKube;

beforeAll(async () => {
  kube = await startRealKube();
  const [, policy = ''] = /```yaml\n([\s\S]*?)```/.exec(SECURITY) ?? [];
  const applied = await kubectl(['apply', '-f', '-'], policy);
  expect(applied).toMatchObject({ code: 0 });
  const forged = service('probe', { annotations: { 'nodeport-lb.io/held-by': 'local/kubernetes' } });
  await until(async () => (await kubectl(['create', '--dry-run=server', '-f', '-'], forged)).code !== 0, {
    withinMs: 60_000,
    what: 'the policy is in force',
  });
});

afterAll(async () => {
  await kube?.close();
});

function kubectl(args: readonly string[], input?: string): Promise<Output> {
  const env = { ...process.env, HOME: kube.directory };
  return tryRun(kube.tools.kubectl, ['--kubeconfig', kube.kubeconfig, ...args], {
    env,
    ...(input === undefined ? {} : { input }),
  });
}

const service = (name: string, metadata: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', ...metadata },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
  });

const patch = (body: object, ...args: readonly string[]): Promise<Output> =>
  kubectl(['patch', 'service', 'web', '--type=merge', '-p', JSON.stringify(body), ...args]);

test('nobody writes our marks on a Service, the controller does by its status, and all else may be written', async () => {
  const finalizers = ['nodeport-lb.io/cleanup'];
  const annotations = { 'nodeport-lb.io/held-by': 'local/kubernetes', 'nodeport-lb.io/held-addresses': '10.0.0.1' };
  expect((await kubectl(['create', '-f', '-'], service('forged', { annotations }))).stderr).toContain(
    'written by its controller only',
  );
  expect((await kubectl(['create', '-f', '-'], service('forged', { finalizers }))).stderr).toContain(
    'set by its controller only',
  );
  expect((await kubectl(['create', '-f', '-'], service('web', { annotations: { 'nodeport-lb.io/pool': 'open' } }))).code).toBe(0);
  expect((await patch({ metadata: { annotations, finalizers } }, '--subresource=status')).code).toBe(0);
  const other = { metadata: { annotations: { 'nodeport-lb.io/held-addresses': '10.0.0.2' } } };
  expect((await patch(other)).stderr).toContain('written by its controller only');
  expect((await patch({ spec: { ports: [{ port: 81 }] }, metadata: { labels: { any: 'thing' } } })).code).toBe(0);
  expect((await patch({ metadata: { finalizers: null } }, '--subresource=status')).code).toBe(0);
});
