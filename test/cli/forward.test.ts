import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, jest, test } from '@jest/globals';
import { sayUnchecked } from '../../src/cli/forward-plan.ts';
import { backend, backends, Cleanup, firstLine, listener, nodes, open, rules, until, whoAnswers } from '../forwarder/builders.ts';
import { client, servers } from '../forwarder/datagrams.ts';
import { endAll, type Running, run, start } from './run.ts';

jest.setTimeout(120_000); // each starts processes, on a machine that may be busy

const cleanup = new Cleanup();
afterEach(async () => {
  endAll();
  await cleanup.run();
});

async function portOf(running: Running): Promise<number> {
  await running.said(/listening tcp 127\.0\.0\.1:\d+/);
  return Number(/127\.0\.0\.1:(\d+)/.exec(running.stdout())?.[1]);
}

test('one line when it listens, every target in turn, and at SIGTERM a drain, then exit 0', async () => {
  const [one] = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
  const running = start(['forward', 'tcp://127.0.0.1:0', `127.0.0.1:${one!.port}`, `127.0.0.2:${one!.port}`]);
  const port = await portOf(running);
  // Why it is userspace depends on the machine and on who runs this.
  expect(running.stdout()).toMatch(new RegExp(`^listening tcp 127\\.0\\.0\\.1:${port} -> 2 targets \\(userspace: .+\\)\n$`));
  expect(new Set([await whoAnswers(port), await whoAnswers(port)])).toEqual(new Set(['127.0.0.1', '127.0.0.2']));
  const client = await open(port);
  await firstLine(client);
  running.child.kill('SIGTERM');
  await until('the port to be closed', () =>
    open(port).then(
      (early) => {
        early.destroy(); // or the drain would wait for it
        return false;
      },
      () => true,
    ),
  );
  client.write('still served\n');
  expect(await firstLine(client)).toBe('still served');
  client.destroy();
  expect(await running.ended).toMatchObject({ code: 0, signal: null });
});

test('datagrams are forwarded with udp://, and SIGTERM waits for no flow that has fallen silent', async () => {
  const [one] = await servers(cleanup, ['127.0.0.1', '127.0.0.2']);
  const running = start(['forward', 'udp://127.0.0.1:0', `127.0.0.1:${one!.port}`, `127.0.0.2:${one!.port}`]);
  await running.said(/listening udp 127\.0\.0\.1:\d+ -> 2 targets \(userspace: .+\)\n/);
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(running.stdout())?.[1]);
  const clients = [await client(cleanup, port), await client(cleanup, port)];
  expect(new Set([await clients[0]!.who(), await clients[1]!.who()])).toEqual(new Set(['127.0.0.1', '127.0.0.2']));
  const begun = performance.now();
  running.child.kill('SIGTERM');
  expect(await running.ended).toMatchObject({ code: 0, signal: null, stderr: expect.stringContaining('ending: ') });
  expect(performance.now() - begun).toBeLessThan(10_000); // of 30 s to drain
});

test('where the kernel moves datagrams it is said that their targets are not checked', () => {
  const listening = { state: 'listening', address: '10.9.1.1', port: 53 } as const;
  expect(sayUnchecked('UDP', { ...listening, datapath: 'nftables' })).toMatch(
    /^UDP targets are not checked.*--datapath userspace/,
  );
  expect(sayUnchecked('UDP', { ...listening, datapath: 'userspace' })).toBeUndefined();
  expect(sayUnchecked('TCP', { ...listening, datapath: 'nftables' })).toBeUndefined();
  expect(sayUnchecked('UDP', { state: 'failed', code: 'PortInUse', message: 'x' })).toBeUndefined();
});

test('a target is named as it was given, and is not well again because nobody asks any more', async () => {
  const [one] = await backends(cleanup, ['127.0.0.1']);
  const running = start(['forward', 'tcp://127.0.0.1:0', `127.0.0.1:${one!.port}`, '127.0.0.2:9']);
  await running.said(/target 127\.0\.0\.2:9 is unhealthy: 127\.0\.0\.2:9 refuses/);
  running.child.kill('SIGTERM');
  const { stderr } = await running.ended;
  expect(stderr).not.toContain('healthy again');
});

test('at the first Ctrl-C it says how long it waits, and the second one ends it', async () => {
  const one = await backend(cleanup, '127.0.0.1');
  const running = start(['forward', 'tcp://127.0.0.1:0', `127.0.0.1:${one.port}`]);
  const client = await open(await portOf(running));
  await firstLine(client);
  running.child.kill('SIGINT');
  await running.said(/^ending: open connections have 30 s to finish; a second Ctrl-C ends at once$/m);
  // Several signals within a fifth of a second count as one press, so this is repeated.
  const pressing = setInterval(() => running.child.kill('SIGINT'), 100);
  cleanup.add(() => clearInterval(pressing));
  expect(await running.ended).toMatchObject({ code: 130 });
});

test('the drain ends after --drain-seconds', async () => {
  const one = await backend(cleanup, '127.0.0.1');
  const running = start(['forward', '--drain-seconds', '1', 'tcp://127.0.0.1:0', `127.0.0.1:${one.port}`]);
  const client = await open(await portOf(running));
  await firstLine(client);
  running.child.kill('SIGINT');
  expect((await running.ended).code).toBe(0);
});

test('every problem of the command line is told at once, with exit 2', async () => {
  const { code, stdout, stderr } = await run([
    ...['forward', '--datapath', 'kernel', '--drain-seconds', 'soon', '--what'],
    ...['tcp://localhost:80', 'node-1:30123', '10.0.0.1:99999', '10.0.0.2:1', '10.0.0.2:1'],
  ]);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  const places = ['--datapath', '--drain-seconds', '--what', 'listener', 'node-1:30123', '10.0.0.1:99999', '10.0.0.2:1'];
  for (const place of places) expect(stderr).toContain(place);
});

test.each<{ why: string; args: string[]; code: number; told: RegExp }>([
  { why: 'no target is a usage problem', args: ['tcp://127.0.0.1:1'], code: 2, told: /target: is missing/ },
  { why: 'nothing at all is a usage problem', args: [], code: 2, told: /listener "": must be tcp:/ },
  { why: 'another protocol is a usage problem', args: ['sctp://127.0.0.1:9', '127.0.0.1:9'], code: 2, told: /tcp:.*or udp:/ },
  {
    why: 'an address that is not ours is told',
    args: ['tcp://192.0.2.1:80', '127.0.0.1:1'],
    code: 1,
    told: /192\.0\.2\.1 is no address/,
  },
  {
    why: 'a rules file that is not there is a usage problem',
    args: ['--rules', '/nonexistent/rules'],
    code: 2,
    told: /--rules.*ENOENT/,
  },
  {
    why: 'a file and words do not go together',
    args: ['--rules', 'x', 'tcp://127.0.0.1:1', '127.0.0.1:1'],
    code: 2,
    told: /one or the other/,
  },
])('$why', async ({ args, code, told }) => {
  const ended = await run(['forward', ...args]);
  expect(ended.stderr).toMatch(told);
  expect(ended.code).toBe(code);
});

test('a port that somebody holds is told with the holder, and exit 1', async () => {
  const one = await backend(cleanup, '127.0.0.1');
  const { code, stderr } = await run(['forward', `tcp://127.0.0.1:${one.port}`, '127.0.0.1:1']);
  expect(code).toBe(1);
  expect(stderr).not.toContain('is closed'); // it was never open
  expect(stderr).toContain(`127.0.0.1 port ${one.port}/TCP is held by process ${process.pid} (`);
  expect(stderr).toMatch(new RegExp(`process ${process.pid} \\(node\\b`)); // whatever its thread is called
});

test('a rules file is followed as it changes; a broken one changes nothing and is told', async () => {
  const [first, second] = [await backend(cleanup, '127.0.0.1'), await backend(cleanup, '127.0.0.2')];
  const folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-forward-'));
  cleanup.add(() => rm(folder, { recursive: true }));
  const path = join(folder, 'rules.json');
  const write = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  const to = (address: string, nodePort: number, generation: number) =>
    JSON.stringify(rules({ generation, nodes: nodes(address), listeners: [listener({ nodePort })] }));
  await write(to('127.0.0.1', first.port, 1));
  const running = start(['forward', '--rules', path]);
  const port = await portOf(running);
  expect(await whoAnswers(port)).toBe('127.0.0.1');
  await write('{"version": 1');
  await running.said(/is no JSON.*\n.*stay in force/s);
  expect(await whoAnswers(port)).toBe('127.0.0.1');
  await write(to('127.0.0.2', second.port, 2));
  await until('the new target', async () => (await whoAnswers(port).catch(() => '')) === '127.0.0.2');
  running.child.kill('SIGTERM');
  expect((await running.ended).code).toBe(0);
});

test('a rules file with faults is refused with all of them, and exit 2', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-forward-'));
  cleanup.add(() => rm(folder, { recursive: true }));
  const path = join(folder, 'rules.json');
  const wrong = [listener({ id: 'a', nodePort: 0 }), listener({ id: 'b', nodePort: 1, address: 'x', nodeSet: 'none' })];
  await writeFile(path, JSON.stringify(rules({ nodes: [{ id: 'n', addresses: ['node-1'] }], listeners: wrong })));
  const { code, stderr } = await run(['forward', '--rules', path]);
  expect(code).toBe(2);
  for (const told of ['node n', 'listener a: nodePort 0', 'listener b: address "x"', 'nodeSet "none" is none of the file']) {
    expect(stderr).toContain(told);
  }
});
