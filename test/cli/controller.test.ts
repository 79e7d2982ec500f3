import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { rawNode, rawService } from './objects.ts';
import { endAll, run, start } from './run.ts';
import { type SmallKube, startSmallKube } from './small-kube.ts';

jest.setTimeout(120_000); // each starts processes, on a machine that may be busy

let kube: SmallKube;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  kube = await startSmallKube();
  kube.put('nodes', rawNode('n1', '127.0.0.1'));
  kube.put('services', rawService('shop', 'web'));
  kube.put('services', rawService('shop', 'theirs', { spec: { loadBalancerClass: 'example.com/lb' } }));
});
afterEach(endAll);
afterAll(async () => {
  await kube.close();
  await rm(folder, { recursive: true });
});

async function writeKubeconfig(server: string): Promise<string> {
  const path = join(folder, `${server.replace(/\W/g, '-')}.yaml`);
  const clusters = [{ name: 'c', cluster: { server } }];
  const contexts = [{ name: 'there', context: { cluster: 'c', user: '' } }];
  await writeFile(path, JSON.stringify({ clusters, contexts, users: [], 'current-context': 'there' }));
  return path;
}

describe('which cluster', () => {
  test('an API server that is far away must be named', async () => {
    const KUBECONFIG = await writeKubeconfig('https://203.0.113.5:6443');
    const { code, stderr } = await run(['controller'], { env: { KUBECONFIG } });
    expect(code).toBe(2);
    expect(stderr).toMatch(/kubeconfig "https:\/\/203\.0\.113\.5:6443": context there was not named, .* say --context there\n/);
  });

  test('a near one need not be', async () => {
    const running = start(['controller', '--dry-run'], { env: { KUBECONFIG: kube.kubeconfig } });
    await running.said(/^context small, server http:\/\/127\.0\.0\.1:\d+\n/);
    running.child.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });

  test('one that does not answer is waited for, and that is said once', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const running = start(['controller', '--kubeconfig', await writeKubeconfig(`http://127.0.0.1:${port}`)]);
    await running.said(/WARN .*the API server does not answer; waiting for it server=\S+ error=.*ECONNREFUSED/);
    running.child.kill('SIGINT');
    expect(await running.ended).toMatchObject({ code: 0, signal: null });
  });
});

test('it can be stopped while it waits for the API server', async () => {
  kube.silent.add('nodes');
  const running = start(['controller', '--kubeconfig', kube.kubeconfig]);
  await running.said(/will claim 1 Service/);
  running.child.kill('SIGTERM');
  expect((await running.ended).code).toBe(0);
  kube.silent.clear();
  expect(kube.writes).toEqual([]);
});

test('a second signal ends it at once, with 130, whatever it is still doing', async () => {
  const provider = join(folder, 'stuck.mjs');
  await writeFile(
    provider,
    `export const createProvider = ({ options }) => ({
      name: 'stuck', open: async () => {}, keys: async () => [], adjust: (balancer) => balancer, plan: () => [],
      observe: async () => ({}), apply: async () => {},
      report: () => ({ addresses: [], listeners: [], targets: [], settled: false, gone: true }),
      close: () => new Promise((resolve) => setTimeout(resolve, 60_000, console.error('closing', options.where))),
    });`,
  );
  const own = ['--provider', provider, '--provider-options', 'where=here', '--dry-run'];
  const running = start(['controller', '--kubeconfig', kube.kubeconfig, ...own]);
  await running.said(/no other balancer controller was seen/);
  running.child.kill('SIGTERM');
  await running.said(/closing here/);
  const again = setInterval(() => running.child.kill('SIGTERM'), 50); // one within 200 ms counts as the same press
  expect((await running.ended).code).toBe(130);
  clearInterval(again);
});

describe('a dry run', () => {
  test('says what it would claim, serves health and metrics, writes nothing and ends with 0', async () => {
    const running = start(['controller', '--kubeconfig', kube.kubeconfig, '--dry-run', '--http', '127.0.0.1:0']);
    await running.said(/would claim \(dry run: nothing is written\) 1 Service of all namespaces:\n {2}shop\/web\n/);
    await running.said(/serving \/healthz, \/readyz and \/metrics host=127\.0\.0\.1 port=\d+/);
    const port = /port=(\d+)/.exec(running.stderr())![1];
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return `${response.status} ${await response.text()}`;
    };
    expect(await get('/healthz')).toBe('200 ok\n');
    await until(async () => (await get('/readyz')) === '200 ok\n');
    expect(await get('/metrics')).toMatch(/^200 [\s\S]*nodeport_lb_build_info\{version="0\.1\.0",node="v\d+/);
    expect(await get('/')).toMatch(/^404 /);
    running.child.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
    expect(running.stdout()).toBe('');
    expect(kube.writes).toEqual([]);
  });
});

test('a port for --http that somebody has is named', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const { code, stderr } = await run(['controller', '--kubeconfig', kube.kubeconfig, '--http', `127.0.0.1:${port}`]);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining(`--http "127.0.0.1:${port}": is in use by another process`),
  });
  await new Promise((resolve) => server.close(resolve));
});

test('file, variables and flags are judged together, before anything is connected', async () => {
  const file = join(folder, 'config.yaml');
  await writeFile(file, 'provder: local\nlocalPools: [10.0.0.0/33]\n');
  const env = { NODEPORT_LB_HTTP: 'everywhere', NODEPORT_LB_NAMESPACE_S: 'a' };
  const { code, stderr } = await run(['controller', '--config', file, '--claim-unset-class', 'maybe'], { env });
  expect(code).toBe(2);
  expect(stderr.split('\n').map((line) => line.replace(/^nodeport-lb controller: /, '').replace(/( "[^"]*")?: .*/, ''))).toEqual([
    '--claim-unset-class',
    'NODEPORT_LB_HTTP',
    `${file}`,
    'NODEPORT_LB_NAMESPACE_S',
    `${file}`,
    'See nodeport-lb controller --help.',
    '',
  ]);
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come true within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
