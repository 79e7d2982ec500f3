import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import type { Forwarder, RuleListener, RuleNode } from '../../src/forwarder/rules.ts';
import type { Wiring } from '../../src/forwarder/wire.ts';
import { netWiring } from '../../src/forwarder/wire-net.ts';
import { bestWiring } from '../../src/forwarder/wire-raw.ts';
import {
  backend,
  backends,
  Cleanup,
  closed,
  firstLine,
  Known,
  listener,
  nodes,
  open,
  quiet,
  rules,
  startOwnTime,
  until,
  whoAnswers,
} from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const three = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;

describe.each<{ name: string; wiring: Wiring }>([
  { name: 'net sockets', wiring: netWiring },
  { name: 'the fastest wires', wiring: bestWiring() },
])('over $name', ({ wiring }) => {
  function start(part: { nodes: readonly RuleNode[]; listeners: readonly RuleListener[]; maxConnections?: number }) {
    const known = new Known();
    const { maxConnections } = part;
    const forwarder = startForwarder({ onReport: known.take, log: quiet, wiring, ...(maxConnections ? { maxConnections } : {}) });
    cleanup.forwarder(forwarder);
    forwarder.apply(rules(part));
    return { known, forwarder };
  }

  /** Changes one listener or the node set, from generation 1 to 2. */
  function change(
    forwarder: Forwarder,
    part: { listeners?: Record<string, RuleListener | null>; all?: readonly string[] },
  ): void {
    const nodeSets: Record<string, readonly string[]> = part.all ? { all: part.all } : {};
    forwarder.apply({ version: 1, base: 1, generation: 2, nodes: {}, nodeSets, listeners: part.listeners ?? {} });
  }

  test('connections go to the nodes in turn, to each the same number', async () => {
    const servers = await backends(cleanup, three);
    const { known } = start({ nodes: nodes(...three), listeners: [listener({ nodePort: servers[0]!.port })] });
    const port = await known.port();
    await Promise.all(['node-1', 'node-2', 'node-3'].map((node) => known.health(node, 'healthy')));
    const counts = new Map<string, number>();
    for (let batch = 0; batch < 10; batch++) {
      const names = await Promise.all(Array.from({ length: 30 }, () => whoAnswers(port)));
      for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual({ '127.0.0.1': 100, '127.0.0.2': 100, '127.0.0.3': 100 });
  });

  test('a target that refuses costs the client nothing: the next one is tried in the same connection', async () => {
    const servers = await backends(cleanup, three);
    await servers[0]!.close();
    await servers[1]!.close();
    const { known, forwarder } = start({ nodes: nodes(...three), listeners: [listener({ nodePort: servers[2]!.port })] });
    const port = await known.port();
    for (let i = 0; i < 9; i++) expect(await whoAnswers(port)).toBe('127.0.0.3');
    expect((await forwarder.counters()).sum).toMatchObject({ connections: 9, failures: 0 });
  });

  test('with no target left the client is refused and counted, and the listener lives on', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: server.port })] });
    const { port: nodePort } = server;
    await server.close();
    const port = await known.port();
    await expect(whoAnswers(port)).rejects.toThrow();
    await backend(cleanup, '127.0.0.1', nodePort);
    expect(await whoAnswers(port)).toBe('127.0.0.1');
    expect((await forwarder.counters()).sum.failures).toBe(1);
  });

  test('each direction ends by itself: half-closed connections stay open until both sides are done', async () => {
    const server = await backend(cleanup, '127.0.0.1', 0, (socket) => {
      socket.resume();
      socket.on('end', () => {
        socket.write('answer after the question has ended\n');
        setImmediate(() => socket.end());
      });
    });
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: server.port })] });
    const client = await open(await known.port());
    client.end('question');
    expect(await firstLine(client)).toBe('answer after the question has ended');
    await closed(client);
    await until('no connection to be left', async () => (await forwarder.counters()).sum.active === 0);

    const early = await backend(cleanup, '127.0.0.1', 0, (socket) => {
      socket.end('bye\n');
      socket.on('data', (chunk) => early.heard.push(chunk.toString()));
    }).then((made) => Object.assign(made, { heard: [] as string[] }));
    change(forwarder, { listeners: { early: listener({ id: 'early', nodePort: early.port }) } });
    const late = await open(await known.port('early'));
    const ended = once(late, 'end');
    expect(await firstLine(late)).toBe('bye');
    await ended;
    late.end('the other direction still works');
    await until('the late words', () => early.heard.join('') === 'the other direction still works');
  });

  test('a slow reader slows the sender down, and nothing is lost', async () => {
    const size = 24 * 1024 * 1024;
    const data = Buffer.alloc(size, 'abcdefghijklmnopqrstuvw');
    let sender: Socket | undefined;
    const server = await backend(cleanup, '127.0.0.1', 0, (socket) =>
      socket.once('data', () => {
        sender = socket;
        socket.end(data);
      }),
    );
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: server.port })] });
    const client = await open(await known.port());
    client.write('go');
    let before = -1;
    await until('the sender to be held up', async () => {
      const passed = (await forwarder.counters()).sum.bytesToClients;
      const still = passed > 0 && passed === before && sender !== undefined && sender.writableLength > 0;
      before = passed;
      await new Promise((resolve) => setTimeout(resolve, 30));
      return still;
    });
    expect(before).toBeLessThan(size);
    const chunks: Buffer[] = [];
    client.on('data', (chunk) => chunks.push(chunk));
    await once(client, 'end');
    expect(Buffer.concat(chunks).equals(data)).toBe(true);
    client.destroy();
  });

  test.each<{ why: string; side: 'client' | 'server' }>([
    { why: 'a client that resets is a reset at the target', side: 'client' },
    { why: 'a target that resets is a reset at the client', side: 'server' },
  ])('$why', async ({ side }) => {
    let target: Socket | undefined;
    const server = await backend(cleanup, '127.0.0.1', 0, (socket) =>
      socket.once('data', () => {
        target = socket;
        socket.write('heard\n');
      }),
    );
    const { known } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: server.port })] });
    const client = await open(await known.port());
    client.write('hello');
    await firstLine(client);
    const [from, to] = side === 'client' ? [client, target!] : [target!, client];
    const told = new Promise<NodeJS.ErrnoException>((resolve) => to.once('error', resolve));
    from.resetAndDestroy();
    expect((await told).code).toBe('ECONNRESET');
  });

  test('a connection that is cut while its FIN waits behind unread bytes leaves nothing open', async () => {
    let target: Socket | undefined;
    const server = await backend(cleanup, '127.0.0.1', 0, (socket) =>
      socket.once('data', () => {
        target = socket.pause();
      }),
    );
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: server.port })] });
    const client = await open(await known.port());
    client.end(Buffer.alloc(16 * 1024 * 1024));
    await until('the target', () => target !== undefined);
    target!.resetAndDestroy();
    await closed(client);
    await until('nothing to be left', async () => (await forwarder.counters()).sum.active === 0);
  });

  test('a node that leaves the set gets nothing new; its connections have the drain time, those of others are not touched', async () => {
    const servers = await backends(cleanup, three.slice(0, 2));
    const web = listener({ nodePort: servers[0]!.port, drainMs: 1_000 });
    const { known, forwarder } = start({ nodes: nodes(...three.slice(0, 2)), listeners: [web] });
    const port = await known.port();
    const both = [await open(port), await open(port)];
    const names = await Promise.all(both.map(firstLine));
    const leaving = both[names.indexOf('127.0.0.1')]!;
    const staying = both[names.indexOf('127.0.0.2')]!;
    change(forwarder, { all: ['node-2'] });
    leaving.write('still\n');
    expect(await firstLine(leaving)).toBe('still'); // first, for the drain time is on the wall
    for (let i = 0; i < 4; i++) expect(await whoAnswers(port)).toBe('127.0.0.2');
    const ownMs = startOwnTime(cleanup);
    await closed(leaving);
    expect(ownMs()).toBeLessThan(2_000);
    staying.write('untouched\n');
    expect(await firstLine(staying)).toBe('untouched');
    staying.destroy();
  });

  test('a removed listener refuses at once, drains what it has, and is reported gone when nothing is left', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: server.port })] });
    const port = await known.port();
    const client = await open(port);
    await firstLine(client);
    change(forwarder, { listeners: { web: null } });
    await until('draining', () => known.listeners.get('web')?.state === 'draining');
    await expect(open(port)).rejects.toThrow('ECONNREFUSED');
    client.write('still\n');
    expect(await firstLine(client)).toBe('still');
    client.destroy();
    await until('gone', () => !known.listeners.has('web'));
  });

  test('a change in place keeps the socket and the connections: only new ones see the new settings', async () => {
    const [first, second] = [
      await backend(cleanup, '127.0.0.1'),
      await backend(cleanup, '127.0.0.1', 0, (socket) => socket.end('second\n')),
    ];
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: first.port })] });
    const port = await known.port();
    const client = await open(port);
    await firstLine(client);
    change(forwarder, { listeners: { web: listener({ nodePort: second.port }) } });
    expect(await whoAnswers(port)).toBe('second');
    client.write('on the old target until the drain time is over\n');
    expect(await firstLine(client)).toContain('on the old target');
    client.destroy();
  });

  test('a connection that is silent for too long is cut, one that is not is kept', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    const { known } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: server.port, idleMs: 300 })] });
    const port = await known.port();
    const [silent, busy] = [await open(port), await open(port)];
    silent.resume();
    busy.resume();
    const chatter = setInterval(() => busy.write('.'), 50);
    cleanup.add(() => clearInterval(chatter));
    await closed(silent);
    expect(busy.destroyed).toBe(false);
    busy.destroy();
  });

  test('clients outside the source ranges are refused and counted', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    const web = listener({ nodePort: server.port, sourceRanges: ['127.0.1.0/24', 'fd00::/8'] });
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [web] });
    const port = await known.port();
    expect(await whoAnswers(port, '127.0.0.1', '127.0.1.7')).toBe('127.0.0.1');
    await expect(whoAnswers(port, '127.0.0.1', '127.0.2.7')).rejects.toThrow();
    expect((await forwarder.counters()).listeners['web']).toMatchObject({ connections: 2, refusedByRange: 1 });
  });

  test('a client stays on its node for the affinity time, each client on its own', async () => {
    const servers = await backends(cleanup, three);
    const web = listener({ nodePort: servers[0]!.port, affinitySeconds: 60 });
    const { known } = start({ nodes: nodes(...three), listeners: [web] });
    const port = await known.port();
    const clients = Array.from({ length: 12 }, (_, i) => `127.0.1.${i + 1}`);
    await Promise.all(['node-1', 'node-2', 'node-3'].map((node) => known.health(node, 'healthy')));
    const first: string[] = [];
    for (const client of clients) first.push(await whoAnswers(port, '127.0.0.1', client));
    expect(new Set(first)).toEqual(new Set(three));
    for (let i = 0; i < 3; i++) {
      expect(await Promise.all(clients.map((client) => whoAnswers(port, '127.0.0.1', client)))).toEqual(first);
    }
  });

  test('more than the limit of connections are refused, and served again when there is room', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    const { known, forwarder } = start({
      nodes: nodes('127.0.0.1'),
      listeners: [listener({ nodePort: server.port })],
      maxConnections: 2,
    });
    const port = await known.port();
    const held = [await open(port), await open(port)];
    await Promise.all(held.map(firstLine));
    await expect(whoAnswers(port)).rejects.toThrow();
    held[0]!.destroy();
    await until('room', async () => (await forwarder.counters()).sum.active < 2);
    expect(await whoAnswers(port)).toBe('127.0.0.1');
    expect((await forwarder.counters()).sum.refusedByLimit).toBe(1);
    held[1]!.destroy();
  });

  test.each<{ version: 'v1' | 'v2'; header: RegExp }>([
    { version: 'v1', header: /^PROXY TCP4 127\.0\.1\.9 127\.0\.0\.1 \d+ \d+\r\nhello$/ },
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the signature has them
    { version: 'v2', header: /^\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c\x7f\x00\x01\x09\x7f\x00\x00\x01.{4}hello$/s },
  ])('PROXY $version tells the target who the client is, before its first byte', async ({ version, header }) => {
    let heard = '';
    const server = await backend(cleanup, '127.0.0.1', 0, (socket) =>
      socket.on('data', (chunk) => (heard += chunk.toString('latin1'))),
    );
    const { known } = start({
      nodes: nodes('127.0.0.1'),
      listeners: [listener({ nodePort: server.port, proxyProtocol: version })],
    });
    const client = await open(await known.port(), '127.0.0.1', '127.0.1.9');
    client.write('hello');
    await until('the words', () => heard.endsWith('hello'));
    expect(heard).toMatch(header);
    client.destroy();
  });

  test('a close drains for as long as asked and cuts then; without a time each listener has its own', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    for (const drainMs of [200, undefined]) {
      const web = listener({ nodePort: server.port, drainMs: drainMs === undefined ? 200 : 60_000 });
      const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [web] });
      const client = await open(await known.port());
      await firstLine(client);
      const begun = performance.now();
      const ownMs = startOwnTime(cleanup);
      await forwarder.close(drainMs);
      expect(performance.now() - begun).toBeGreaterThanOrEqual(199);
      expect(ownMs()).toBeLessThan(1_500);
      await closed(client);
    }
  });

  test('one that others follow serves on while connections from before are open, and gives the last ones a second', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    const web = listener({ nodePort: server.port, drainMs: 60_000 });
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [web] });
    const port = await known.port();
    const before = await open(port);
    await firstLine(before);
    const end = forwarder.close(60_000, { rulesMs: 0, servesOn: true });
    const meanwhile = await open(port);
    expect(await firstLine(meanwhile)).toBe('127.0.0.1');
    before.destroy();
    await end;
    await closed(meanwhile);
    await expect(open(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('however long they stay, one that serves on ends with the drain time, or at once when asked again', async () => {
    const server = await backend(cleanup, '127.0.0.1');
    for (const again of [undefined, 0]) {
      const web = listener({ nodePort: server.port, drainMs: 60_000 });
      const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [web] });
      const client = await open(await known.port());
      await firstLine(client);
      const end = forwarder.close(again === undefined ? 200 : 60_000, { rulesMs: 0, servesOn: true });
      if (again !== undefined) void forwarder.close(again);
      await end;
      await closed(client);
    }
  });

  test('IPv6 clients reach IPv4 targets and the other way round; a wildcard takes both families', async () => {
    const four = await backend(cleanup, '127.0.0.1');
    const six = await backend(cleanup, '::1');
    const { known } = start({
      nodes: [...nodes('127.0.0.1'), { id: 'six', addresses: ['::1'] }],
      listeners: [
        listener({ id: 'from-six', address: '::1', nodeSet: 'node-1', nodePort: four.port }),
        listener({ id: 'any', address: '::', nodeSet: 'six', nodePort: six.port }),
      ],
    });
    expect(await whoAnswers(await known.port('from-six'), '::1')).toBe('127.0.0.1');
    expect(await whoAnswers(await known.port('any'), '127.0.0.1')).toBe('::1');
    expect(await whoAnswers(await known.port('any'), '::1')).toBe('::1');
  });

  test('node ports that are published elsewhere, and nodes with a port of their own, are reached there', async () => {
    const [mapped, own] = [await backend(cleanup, '127.0.0.1'), await backend(cleanup, '127.0.0.2')];
    const { known } = start({
      nodes: [
        { id: 'mapped', addresses: ['127.0.0.9'], portMap: { 30123: `127.0.0.1:${mapped.port}` } },
        { id: 'own', addresses: ['127.0.0.2'], port: own.port },
      ],
      listeners: [listener({ nodePort: 30123 })],
    });
    const port = await known.port();
    expect(new Set([await whoAnswers(port), await whoAnswers(port)])).toEqual(new Set(['127.0.0.1', '127.0.0.2']));
  });
});
