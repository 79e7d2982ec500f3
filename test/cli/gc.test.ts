import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { readService } from '../../src/kube/objects.ts';
import { type SandboxKube, startKube } from '../../src/sandbox/kube/kube.ts';
import { endAll, run } from './run.ts';

jest.setTimeout(120_000); // each starts processes, on a machine that may be busy

let kube: SandboxKube;
let folder: string;
let kubeconfig: string;

beforeAll(async () => {
  kube = await startKube();
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
  kubeconfig = join(folder, 'kubeconfig');
  await kube.writeKubeconfig(kubeconfig);
});
beforeEach(() => {
  for (const { metadata } of kube.objects.list({ resource: 'services', namespace: 'default' })) {
    const ref = { resource: 'services', namespace: 'default', name: metadata.name };
    kube.objects.patch(ref, { metadata: { finalizers: null } }, 'merge');
    if (kube.objects.get(ref)) kube.objects.delete(ref);
  }
  hold('web', 'LoadBalancer');
});
afterAll(async () => {
  endAll();
  await kube.close();
  await rm(folder, { recursive: true });
});

/** A Service as a controller with another provider has left it. */
function hold(name: string, type: string): void {
  const metadata = {
    name,
    finalizers: ['nodeport-lb.io/cleanup'],
    annotations: { 'nodeport-lb.io/held-by': 'local/prod', 'nodeport-lb.io/held-addresses': '127.0.0.33', mine: 'stays' },
  };
  kube.objects.create({ resource: 'services', namespace: 'default' }, { metadata, spec: { type, ports: [{ port: 80 }] } });
  if (type !== 'LoadBalancer') return;
  const status = {
    loadBalancer: { ingress: [{ ip: '127.0.0.33', ipMode: 'Proxy' }] },
    conditions: [
      {
        type: 'nodeport-lb.io/Ready',
        status: 'False',
        reason: 'OtherProvider',
        message: 'm',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  };
  kube.objects.patch({ resource: 'services', namespace: 'default', name, subresource: 'status' }, { status });
}

const web = () => readService(kube.objects.get({ resource: 'services', namespace: 'default', name: 'web' }));
const gc = (...args: string[]) => run(['gc', '--kubeconfig', kubeconfig, ...args]);

describe('gc --release', () => {
  test('says what stays behind, then takes every mark of ours away and nothing else', async () => {
    const { code, stdout, stderr } = await gc('--release', 'default/web');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'default/web released\n' });
    expect(stderr).toMatch(/held by local\/prod; its addresses are free,.* once that controller .* gone;.*127\.0\.0\.33/s);
    expect(stderr).not.toContain('yours to remove'); // what forwards has nothing that outlives it
    expect(web()).toMatchObject({ finalizers: [], conditions: [], ingress: [], annotations: { mine: 'stays' } });
  });

  test('a deleted Service that waited for its provider is gone once it is let go of', async () => {
    kube.objects.delete({ resource: 'services', namespace: 'default', name: 'web' });
    expect(web()?.deleting).toBe(true);
    expect((await gc('--release', 'web')).code).toBe(0);
    expect(web()).toBeUndefined();
  });

  test('a Service that holds nothing is left as it is', async () => {
    await gc('--release', 'default/web');
    const before = web()!.resourceVersion;
    const { code, stderr } = await gc('--release', 'default/web');
    expect({ code, nothing: stderr.includes('nothing to let go of'), version: web()!.resourceVersion }).toEqual({
      code: 0,
      nothing: true,
      version: before,
    });
  });

  test('a Service that is not there is a mistake in the command line', async () => {
    const { code, stderr } = await gc('--release', 'default/wbe');
    expect({ code, named: stderr.includes('default/wbe') }).toEqual({ code: 2, named: true });
  });
});

describe('gc', () => {
  test('lists Services that wait for a controller that does not run, as JSON', async () => {
    hold('changed', 'ClusterIP');
    const { code, stdout } = await gc('-o', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      version: 1,
      leftovers: [
        {
          kind: 'finalizer',
          id: 'default/changed',
          balancer: 'default/changed',
          why: expect.stringContaining('--provider local'),
        },
      ],
    });
  });

  test("with --namespaces, what is held for other namespaces' Services is nobody's leftover", async () => {
    const module = join(folder, 'provider.mjs');
    const methods = `open: async () => {}, close: async () => {}, keys: async () => ['default/web', 'shop/gone'], adjust: (b) => b,
      observe: async () => undefined, plan: () => [], apply: async () => {}, report: () => ({ gone: true, listeners: [] })`;
    await writeFile(module, `export const createProvider = () => ({ name: 'two', ${methods} });`);
    const { stdout } = await gc('--provider', module, '--namespaces', 'shop', '-o', 'json');
    const { leftovers } = JSON.parse(stdout) as { leftovers: { id: string }[] };
    expect(leftovers.map(({ id }) => id)).toEqual(['shop/gone']);
  });

  test('--dry-run deletes nothing', async () => {
    const module = join(folder, 'deleting.mjs');
    const methods = `open: async () => {}, close: async () => {}, keys: async () => ['shop/gone'], adjust: (b) => b,
      observe: async () => undefined, plan: () => [{ summary: 'deleted' }], apply: async () => {}, report: () => ({ gone: true, listeners: [] })`;
    await writeFile(module, `export const createProvider = () => ({ name: 'two', ${methods} });`);
    const words = ['--provider', module, '--delete'];
    expect((await gc(...words)).stderr).toContain('shop/gone: deleted');
    expect((await gc(...words, '--dry-run')).stderr).toBe('dry run: nothing was deleted\n');
  });

  test('nothing is left over', async () => {
    expect(await gc()).toMatchObject({ code: 0, stdout: '', stderr: 'nothing is left over (provider none)\n' });
  });
});
