import { execFileSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { endAll, pinnedNode, root, run, start } from './run.ts';
import { type SmallKube, startSmallKube } from './small-kube.ts';

jest.setTimeout(120_000); // each starts processes, on a machine that may be busy

/** The pinned Node, and each other one on the PATH: an old one hands over to the pinned one. */
const nodes = [...new Set([pinnedNode, ...(process.env['PATH'] ?? '').split(delimiter).flatMap(findNode)])].map((node) => ({
  node,
  version: execFileSync(node, ['--version'], { encoding: 'utf8' }).trim(),
}));

function findNode(folder: string): string[] {
  try {
    accessSync(join(folder, 'node'), constants.X_OK);
    return [realpathSync(join(folder, 'node'))];
  } catch {
    return [];
  }
}

/** Every process of the machine; Linux may have no ps. */
function processes(): readonly { readonly pid: number; readonly parent: number; readonly args: string }[] {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
    return lines
      .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
      .flatMap((found) => (found ? [toProcess(found.slice(1))] : []));
  }
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const parent = /\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '';
      return [toProcess([pid, parent, readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')])];
    } catch {
      return []; // no process, or one that has ended
    }
  });
}

function toProcess([pid = '', parent = '', args = '']: readonly string[]) {
  return { pid: Number(pid), parent: Number(parent), args };
}

let kube: SmallKube;
beforeAll(async () => {
  kube = await startSmallKube();
  kube.put('services', { metadata: { name: 'web', namespace: 'shop' }, spec: { type: 'LoadBalancer' } });
});
afterAll(async () => {
  endAll();
  await kube.close();
});

describe.each(nodes)('bin.js on Node $version', ({ node }) => {
  test('shows the version', async () => {
    expect(await run(['--version'], { node })).toEqual({ code: 0, signal: null, stdout: '0.1.0\n', stderr: '' });
  });

  test('a wrong flag ends it with 2, and says so once on stderr', async () => {
    const { code, stdout, stderr } = await run(['status', '--nope'], { node });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe('nodeport-lb status: --nope: is not a flag\nSee nodeport-lb status --help.\n');
  });

  test('SIGTERM reaches the program, which ends by itself and leaves no process behind', async () => {
    const running = start(['status', '--watch', '--kubeconfig', kube.kubeconfig], { node });
    await running.said(/NAMESPACE/);
    running.child.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ code: 0, signal: null, stderr: '' }); // its pipes are closed: no one holds them
  });

  test('a controller is started with the flags that keep V8 small, and is one process', async () => {
    const running = start(['controller', '--kubeconfig', kube.kubeconfig, '--http', 'off', '--dry-run'], { node });
    await running.said(/provider none/);
    const inPlace = process.platform === 'linux' || node !== pinnedNode; // an old Node hands over to a new process anyway
    const given = `${inPlace ? ' --optimize-for-size --liftoff-only' : ''} ${root}src/bin.js controller `;
    const programs = processes().filter(({ args }) => args.includes(given));
    const mine = programs.filter(({ pid, parent }) => [pid, parent].includes(running.child.pid!));
    expect(mine).toHaveLength(1);
    if (node === pinnedNode) expect(mine[0]!.pid).toBe(running.child.pid);
    running.child.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ code: 0, signal: null });
  });

  test('killed without mercy, it leaves no process behind', async () => {
    const running = start(['status', '--watch', '--kubeconfig', kube.kubeconfig], { node });
    await running.said(/NAMESPACE/);
    running.child.kill('SIGKILL');
    expect(await running.ended).toMatchObject({ code: null, signal: 'SIGKILL' }); // comes once every holder of its pipes has ended
  });

  test('a command that waits for nothing dies of the signal', async () => {
    const slow = await startSilentServer();
    const running = start(['status', '--kubeconfig', slow.kubeconfig], { node });
    await slow.asked;
    running.child.kill('SIGINT');
    expect(await running.ended).toMatchObject({ code: null, signal: 'SIGINT' });
    await slow.close();
  });
});

describe('where it is installed', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('under node_modules the bundle runs, and is named when it is missing', async () => {
    const home = join(folder, 'node_modules', 'nodeport-lb');
    await mkdir(join(home, 'src'), { recursive: true });
    await cp(join(root, 'src', 'bin.js'), join(home, 'src', 'bin.js'));
    await writeFile(join(home, 'package.json'), '{"type":"module"}');
    await writeFile(join(home, 'src', 'main.ts'), 'throw new Error("the sources ran");');
    const bin = join(home, 'src', 'bin.js');
    expect(await run([], { bin })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${join(home, 'dist', 'main.js')} is missing`),
    });
    await mkdir(join(home, 'dist'));
    await writeFile(join(home, 'dist', 'main.js'), 'console.log("the bundle ran");');
    expect(await run([], { bin })).toMatchObject({ code: 0, stdout: 'the bundle ran\n' });
  });

  test('a Node whose own file has gone, as in an upgrade, runs the controller without those flags', async () => {
    const node = join(folder, 'node');
    await cp(pinnedNode, node);
    const gone = join(folder, 'gone.mjs');
    await writeFile(gone, "import { rmSync } from 'node:fs';\nrmSync(process.execPath);\n");
    const args = ['controller', '--kubeconfig', kube.kubeconfig, '--http', 'off', '--dry-run'];
    const running = start(args, { node, env: { NODE_OPTIONS: `--import=${gone}` } });
    await running.said(/provider none/);
    running.child.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ code: 0, signal: null });
  });

  test('an old Node without the pinned one says what is missing', async () => {
    const bin = join(folder, 'bin.js');
    await cp(join(root, 'src', 'bin.js'), bin);
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    for (const { node } of nodes.filter(({ version }) => Number(version.slice(1).split('.')[0]) < 22)) {
      const { code, stderr } = await run([], { bin, node });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^nodeport-lb: needs Node\.js 22\.19 or newer; this is v\d+.*, and the package node-\S+, which brings one, is not installed\./,
      );
    }
  });
});

async function startSilentServer() {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const asked = new Promise<void>((resolve) => server.once('connection', () => resolve()));
  const { port } = server.address() as { port: number };
  const home = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  const kubeconfig = join(home, 'kubeconfig');
  const clusters = [{ name: 'a', cluster: { server: `http://127.0.0.1:${port}` } }];
  const contexts = [{ name: 'a', context: { cluster: 'a', user: '' } }];
  await writeFile(kubeconfig, JSON.stringify({ clusters, contexts, users: [], 'current-context': 'a' }));
  return {
    kubeconfig,
    asked,
    close: async () => {
      server.close();
      await rm(home, { recursive: true });
    },
  };
}
