import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { backend, Cleanup, whoAnswers } from '../forwarder/builders.ts';
import { client, server } from '../forwarder/datagrams.ts';
import { rawNode } from './objects.ts';
import { endAll, root, run, start } from './run.ts';
import { type SmallKube, startSmallKube } from './small-kube.ts';

jest.setTimeout(120_000); // each starts processes, on a machine that may be busy

const cleanup = new Cleanup();
let kube: SmallKube;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  kube = await startSmallKube();
  kube.put('nodes', rawNode('n1', '127.0.0.1'));
});
afterEach(async () => {
  endAll();
  await cleanup.run();
});
afterAll(async () => {
  await kube.close();
  await rm(folder, { recursive: true });
});

/** The program on this machine, which takes it for another platform; Node itself knows better. */
function on(platform: string) {
  const code = `Object.defineProperty(process, 'platform', { value: '${platform}' })`;
  return {
    bin: join(root, 'src', 'main.ts'),
    env: { NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=data:text/javascript,${encodeURIComponent(code)}` },
  };
}

describe.each([
  { platform: 'darwin', pool: /127\.0\.0\.1\n/ },
  { platform: 'win32', pool: /127\.0\.0\.3[2-9]\n/ },
])('on $platform', ({ platform, pool }) => {
  test('the forwarder is userspace by itself, over TCP and UDP', async () => {
    const target = await backend(cleanup, '127.0.0.1');
    const tcp = start(['forward', 'tcp://127.0.0.1:0', `127.0.0.1:${target.port}`], on(platform));
    await tcp.said(/listening tcp 127\.0\.0\.1:\d+ -> 1 target \(userspace: nftables is of Linux, this is \w+\)\n/);
    expect(await whoAnswers(Number(/127\.0\.0\.1:(\d+)/.exec(tcp.stdout())?.[1]))).toBe('127.0.0.1');
    const names = await server(cleanup, '127.0.0.1');
    const udp = start(['forward', 'udp://127.0.0.1:0', `127.0.0.1:${names.port}`], on(platform));
    await udp.said(/listening udp 127\.0\.0\.1:\d+ -> 1 target \(userspace: nftables is of Linux, this is \w+\)\n/);
    const asking = await client(cleanup, Number(/127\.0\.0\.1:(\d+)/.exec(udp.stdout())?.[1]));
    expect(await asking.who()).toBe('127.0.0.1');
  });

  test('the kernel path is refused by name, and a port that is held as well', async () => {
    const holder = await backend(cleanup, '127.0.0.1');
    const words = ['forward', 'tcp://127.0.0.1:18080', '127.0.0.1:1', '--datapath', 'nftables'];
    const kernel = await run(words, on(platform));
    expect(kernel.code).toBe(1);
    expect(kernel.stderr).toContain(`nftables is of Linux, this is ${platform}`);
    const held = await run(['forward', `tcp://127.0.0.1:${holder.port}`, '127.0.0.1:1'], on(platform));
    expect(held.code).toBe(1);
    expect(held.stderr).toContain('is held by another process (which one cannot be seen on this platform)');
  });

  test('a Service gets an address that the platform has', async () => {
    const file = join(folder, 'new.yaml');
    await writeFile(file, 'kind: Service\nmetadata: { name: new }\nspec: { type: LoadBalancer, ports: [{ port: 8080 }] }\n');
    const words = ['plan', 'shop/new', '-f', file, '--provider', 'local', '--kubeconfig', kube.kubeconfig];
    const { stdout } = await run(words, on(platform));
    expect(`${stdout.split('\n')[0]}\n`).toMatch(new RegExp(`^\\+ create shop/new at ${pool.source}`));
  });
});
