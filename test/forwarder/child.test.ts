import { fork } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import { spawnForwarder } from '../../src/forwarder/child.ts';
import type { ForwarderReport } from '../../src/forwarder/rules.ts';
import { backend, Cleanup, firstLine, Known, listener, nodes, open, quiet, rules, until, whoAnswers } from './builders.ts';
import { client, server } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function spawn(known: Known) {
  return cleanup.forwarder(spawnForwarder({ onReport: known.take, log: quiet, reportDownAfterMs: 30_000 }));
}

test('a child process forwards, reports and counts as one in this process does', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const known = new Known();
  const forwarder = spawn(known);
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort })] }));
  expect(await whoAnswers(await known.port())).toBe('127.0.0.1');
  expect((await forwarder.counters()).listeners['web']).toMatchObject({ connections: 1 });
});

test('a child that was killed comes back with the same rules, and an outage this short is not reported', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const known = new Known();
  const forwarder = spawn(known);
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort })] }));
  const port = await known.port();
  forwarder.apply({
    version: 1,
    base: 1,
    generation: 2,
    nodes: {},
    nodeSets: {},
    listeners: { web: listener({ nodePort, port }) },
  });
  await until('generation 2', () => known.generation === 2);
  const killed = forwarder.pid!;
  process.kill(killed, 'SIGKILL');
  await until('another process', () => forwarder.pid !== killed);
  await until('the port to be served again', async () => whoAnswers(port).catch(() => undefined));
  expect(known.history.flatMap((report) => Object.values(report.listeners)).filter((state) => state?.state === 'failed')).toEqual(
    [],
  );
});

test('changes of one tick arrive as one, and a change on a wrong base is refused here', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const known = new Known();
  const forwarder = spawn(known);
  const empty = { version: 1, nodes: {}, nodeSets: {} } as const;
  forwarder.apply(rules({ nodes: nodes('127.0.0.1') }));
  forwarder.apply({ ...empty, base: 1, generation: 2, listeners: { a: listener({ id: 'a', nodePort }) } });
  forwarder.apply({ ...empty, base: 2, generation: 3, listeners: { b: listener({ id: 'b', nodePort }) } });
  expect(() => forwarder.apply({ ...empty, base: 1, generation: 4, listeners: {} })).toThrow(
    'based on generation 1, but 3 is in force',
  );
  await known.port('a');
  await known.port('b');
  expect(known.history.map((report) => report.generation)).not.toContain(2);
});

test('signals to the process group do not end the child; the close that follows drains', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const known = new Known();
  const forwarder = spawn(known);
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort })] }));
  const client = await open(await known.port());
  expect(await firstLine(client)).toBe('127.0.0.1');
  process.kill(forwarder.pid!, 'SIGINT');
  process.kill(forwarder.pid!, 'SIGTERM');
  const closing = forwarder.close(4_000);
  client.write('still here\n');
  expect(await firstLine(client)).toBe('still here');
  client.destroy();
  await closing;
  expect(() => process.kill(forwarder.pid!, 0)).toThrow();
});

test('when the parent dies the child accepts nothing more, lets its connections end, and is gone', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const parent = fork(fileURLToPath(new URL('./parent-process.ts', import.meta.url)), { execArgv: [] });
  cleanup.add(() => parent.kill('SIGKILL'));
  const known = new Known();
  let pid = 0;
  parent.on('message', (message: { pid: number; report: ForwarderReport }) => {
    pid = message.pid;
    known.take(message.report);
  });
  parent.send(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort })] }));
  const port = await known.port();
  const client = await open(port);
  await firstLine(client);
  parent.kill('SIGKILL');
  await until('the port to be closed', () =>
    whoAnswers(port).then(
      () => false,
      () => true,
    ),
  );
  client.write('still here\n');
  expect(await firstLine(client)).toBe('still here');
  client.destroy();
  await until('the child to be gone', () => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
});

test('a child that cannot live is reported down, and closing gives up on it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-child-'));
  cleanup.add(() => rm(folder, { recursive: true }));
  const entry = join(folder, 'dies.js');
  await writeFile(entry, 'process.exit(1);');
  const known = new Known();
  const forwarder = spawnForwarder({ onReport: known.take, log: quiet, entry, reportDownAfterMs: 200 });
  forwarder.apply(rules({ listeners: [listener({ nodePort: 30_000 })] }));
  const state = await until('the outage to be told', () => known.listeners.get('web'));
  expect(state).toMatchObject({ state: 'failed', code: 'ForwarderDown' });
  await forwarder.close(1_000);
});

test('datagrams go through the child as well, and flows are counted as connections', async () => {
  const { port: nodePort } = await server(cleanup, '127.0.0.1');
  const known = new Known();
  const forwarder = spawn(known);
  const dns = listener({ id: 'dns', protocol: 'UDP', nodePort, check: { kind: 'none' }, drainMs: 0 });
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [dns] }));
  const asking = await client(cleanup, await known.port('dns'));
  expect(await asking.who()).toBe('127.0.0.1');
  expect(await asking.ask(Buffer.alloc(65_000, 'x'))).toHaveLength(65_010);
  expect((await forwarder.counters()).listeners['dns']).toMatchObject({ connections: 1, active: 1, bytesFromClients: 65_003 });
});

/** Ports of TCP and UDP at which the process can be reached, by what Linux tells of it. */
function openPorts(pid: number): readonly string[] {
  const fds = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
  const found: string[] = [];
  for (const file of ['tcp', 'tcp6', 'udp', 'udp6']) {
    for (const line of readFileSync(`/proc/net/${file}`, 'utf8').split('\n').slice(1)) {
      const [, local = '', remote = '', , , , , , , inode] = line.trim().split(/\s+/);
      if (!fds.includes(`socket:[${inode}]`) || !/^0+:0000$/.test(remote)) continue;
      found.push(`${file} ${Number.parseInt(local.split(':')[1] ?? '', 16)}`);
    }
  }
  return found.sort();
}

test('the forwarder can be reached at the ports of its rules and nowhere else: no port of its own is open beside them', async () => {
  if (process.platform !== 'linux') return; // only there the sockets of a process can be seen
  const known = new Known();
  const forwarder = spawn(known);
  const dns = listener({ id: 'dns', protocol: 'UDP', nodePort: 1, check: { kind: 'none' } });
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: 1 }), dns] }));
  const wanted = [`tcp ${await known.port()}`, `udp ${await known.port('dns')}`];
  expect(openPorts(forwarder.pid!)).toEqual(wanted);
});
