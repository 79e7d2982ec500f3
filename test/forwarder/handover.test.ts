import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { spawnForwarder } from '../../src/forwarder/child.ts';
import { backend, Cleanup, firstLine, Known, listener, nodes, open, quiet, rules, until, whoAnswers } from './builders.ts';
import { client, server } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function meetingPlace(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'nplb-handover-'));
  cleanup.add(() => rm(directory, { recursive: true }));
  return join(directory, 'forwarder.sock');
}

function spawn(path: string) {
  const known = new Known();
  let hasSucceeded = false;
  const onSucceeded = () => {
    hasSucceeded = true;
  };
  const forwarder = cleanup.forwarder(
    spawnForwarder({ onReport: known.take, log: quiet, reportDownAfterMs: 30_000, handover: { path, onSucceeded } }),
  );
  return { forwarder, known, isSucceeded: () => hasSucceeded };
}

/** The next one asks once, when it starts: whoever is before it can be asked by then, also on a busy machine. */
async function spawnNext(path: string) {
  await until('the one before to be there to be asked', () => existsSync(path));
  return spawn(path);
}

/** New connections one after another, each of which must be answered. */
function knockWithoutPause(port: number) {
  const outcome = { answered: 0, failures: [] as string[] };
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      try {
        await whoAnswers(port);
        outcome.answered++;
      } catch (error) {
        outcome.failures.push(String(error));
      }
    }
  })();
  return async () => {
    isOver = true;
    await running;
    return outcome;
  };
}

test('a forwarder that takes the place of another refuses no connection, and the old ones go on where they are', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const path = await meetingPlace();
  const wanted = rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort })] });
  const old = spawn(path);
  old.forwarder.apply(wanted);
  const port = await old.known.port();
  const established = await open(port);
  cleanup.add(() => established.destroy());
  expect(await firstLine(established)).toBe('127.0.0.1');

  const knocking = [1, 2, 3, 4].map(() => knockWithoutPause(port));
  const next = await spawnNext(path);
  next.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort, port })] }));
  await until('the old one to be told', old.isSucceeded);
  const before = (await next.forwarder.counters()).sum.connections;
  await until('the new one to serve', async () => (await next.forwarder.counters()).sum.connections > before + 20);
  const outcomes = await Promise.all(knocking.map((stop) => stop()));

  expect(outcomes.flatMap(({ failures }) => failures)).toEqual([]);
  expect(next.known.listeners.get('web')).toMatchObject({ state: 'listening', port });
  established.write('still here\n');
  expect(await firstLine(established)).toBe('still here');
}, 120_000);

test('a third one takes over from the second', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const path = await meetingPlace();
  const first = spawn(path);
  first.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort })] }));
  const port = await first.known.port();
  let last = first;
  for (let i = 0; i < 2; i++) {
    const next = await spawnNext(path);
    next.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort, port })] }));
    await until('the one before to be told', last.isSucceeded);
    last = next;
  }
  expect(await whoAnswers(port)).toBe('127.0.0.1');
  expect((await last.forwarder.counters()).sum.connections).toBe(1);
}, 120_000);

test('a socket that the next one does not want is closed', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const path = await meetingPlace();
  const old = spawn(path);
  old.forwarder.apply(
    rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort }), listener({ id: 'other', nodePort })] }),
  );
  const [port, other] = [await old.known.port(), await old.known.port('other')];
  const next = await spawnNext(path);
  next.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort, port })] }));
  await until('the old one to be told', old.isSucceeded);
  expect(await whoAnswers(port)).toBe('127.0.0.1');
  await until('the other port to be closed', async () =>
    whoAnswers(other).then(
      () => false,
      () => true,
    ),
  );
}, 120_000);

test('somebody who asks for the sockets and goes away changes nothing', async () => {
  const { port: nodePort } = await backend(cleanup, '127.0.0.1');
  const path = await meetingPlace();
  const old = spawn(path);
  old.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort })] }));
  const port = await old.known.port();
  for (const words of ['{"message":{"type":"take","version":1}}\n', '{"message":{"type":"take","version":99}}\n', 'rubbish\n']) {
    await until('it can be asked again', () => ask(path, words));
    expect(await whoAnswers(port)).toBe('127.0.0.1');
  }
  expect(old.isSucceeded()).toBe(false);

  const next = await spawnNext(path);
  next.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort, port })] }));
  await until('the old one to be told', old.isSucceeded);
  expect(await whoAnswers(port)).toBe('127.0.0.1');
}, 120_000);

test('datagrams are answered throughout, and a flow that waits for its answer gets it', async () => {
  const slow = await server(cleanup, '127.0.0.1', 0, (datagram, from, { socket }) => {
    setTimeout(() => socket.send(datagram, from.port, from.address), 300);
  });
  const path = await meetingPlace();
  const udp = { id: 'dns', protocol: 'UDP', nodePort: slow.port } as const;
  const old = spawn(path);
  old.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener(udp)] }));
  const port = await old.known.port('dns');
  const asking = await client(cleanup, port);
  const next = await spawnNext(path);
  let asked = 0;
  const timer = setInterval(() => asking.socket.send(`${asked++}`, port, '127.0.0.1'), 5);
  cleanup.add(() => clearInterval(timer));
  next.forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ ...udp, port })] }));
  await until('the old one to be told', old.isSucceeded);
  await until('the new one to have the flow', async () => (await next.forwarder.counters()).sum.connections > 0);
  clearInterval(timer);
  await until('every answer', () => asking.heard.length === asked);
}, 120_000);

function ask(path: string, words: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.write(words, () => socket.destroy()));
    socket.on('error', () => resolve(false));
    socket.on('close', (hadError) => resolve(!hadError));
  });
}
