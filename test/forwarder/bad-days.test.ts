import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type ForwarderOptions, startForwarder } from '../../src/forwarder/forwarder.ts';
import type { RuleListener, RuleNode } from '../../src/forwarder/rules.ts';
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
  until,
  whoAnswers,
} from './builders.ts';
import { client, server } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HOUR_MS = 3_600_000;

function start(
  part: { nodes: readonly RuleNode[]; listeners: readonly RuleListener[] },
  options: Partial<ForwarderOptions> = {},
) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet, ...options }));
  forwarder.apply(rules(part));
  return { known, forwarder };
}

function dns(part: Partial<RuleListener> & { nodePort: number }): RuleListener {
  return listener({ id: 'dns', protocol: 'UDP', check: { kind: 'none' }, idleMs: 120_000, ...part });
}

describe('clocks', () => {
  test('a wall clock that is set back or ahead cuts nobody, moves nobody, and only dates what is told', async () => {
    const servers = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
    let aheadMs = 0;
    const rule = listener({ nodePort: servers[0]!.port, idleMs: 60_000, affinitySeconds: 600 });
    const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [rule] }, { now: () => Date.now() + aheadMs });
    const port = await known.port();
    const held = await open(port);
    cleanup.add(() => held.destroy());
    const own = await firstLine(held);
    for (const ms of [HOUR_MS, -24 * HOUR_MS]) {
      aheadMs = ms;
      held.write('still here\n');
      expect(await firstLine(held)).toBe('still here');
      expect(await whoAnswers(port)).toBe(own);
    }
    const [first] = servers;
    await first!.close();
    const sick = await until('the end of the first', () => {
      const found = [...known.targets.values()].find(({ health }) => health === 'unhealthy');
      return found;
    });
    expect(Math.abs(sick.asOf - (Date.now() - 24 * HOUR_MS))).toBeLessThan(HOUR_MS);
  });

  test('a machine that slept for an hour serves at once, and has lost no target and no connection', async () => {
    const [one] = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
    let sleptMs = 0;
    const other = await server(cleanup, '127.0.0.1');
    const web = listener({ nodePort: one!.port });
    const { known } = start(
      { nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [web, dns({ nodePort: other.port })] },
      { nowMs: () => performance.now() + sleptMs },
    );
    const port = await known.port();
    for (const id of ['node-1', 'node-2']) await known.health(id, 'healthy');
    const held = await open(port);
    cleanup.add(() => held.destroy());
    await firstLine(held);
    const asking = await client(cleanup, await known.port('dns'));
    expect(await asking.who()).toBe('127.0.0.1');
    const before = known.history.length;
    sleptMs = HOUR_MS;
    for (let i = 0; i < 10; i++) expect(await whoAnswers(port)).toMatch(/^127\.0\.0\.[12]$/);
    expect(await asking.who()).toBe('127.0.0.1');
    held.write('still here\n');
    expect(await firstLine(held)).toBe('still here');
    const told = known.history.slice(before).flatMap(({ targets }) => Object.values(targets));
    expect(told.filter((target) => target?.health === 'unhealthy')).toEqual([]);
  });
});

describe('a target that accepts and never answers', () => {
  async function mute(address: string) {
    return backend(cleanup, address, 0, (socket) => void socket.resume().on('end', () => socket.end()));
  }

  test('holds up its own clients alone, for as long as a connection may be silent', async () => {
    const silent = await mute('127.0.0.1');
    const good = await backend(cleanup, '127.0.0.2');
    const { known, forwarder } = start({
      nodes: nodes('127.0.0.1', '127.0.0.2'),
      listeners: [
        listener({ nodePort: silent.port, nodeSet: 'node-1', idleMs: 300 }),
        listener({ id: 'good', nodePort: good.port, nodeSet: 'node-2' }),
      ],
    });
    const waiting = await Promise.all(Array.from({ length: 50 }, async () => open(await known.port())));
    for (const each of waiting) each.write('anybody?');
    for (let i = 0; i < 10; i++) expect(await whoAnswers(await known.port('good'))).toBe('127.0.0.2');
    await Promise.all(waiting.map(closed));
    await until('nothing is left', async () => (await forwarder.counters()).sum.active === 0);
    await until('nothing is left at the target', () => silent.sockets.size === 0);
  });

  test('is told by a check over HTTP, and gets no client while there is another', async () => {
    const silent = await mute('127.0.0.1');
    const http = createServer((socket) => socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\n')).on('error', () => {}));
    http.listen(silent.port, '127.0.0.2');
    await once(http, 'listening');
    cleanup.add(() => void http.close());
    const servers = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
    const check = { kind: 'http', port: silent.port, path: '/healthz', intervalMs: 200, timeoutMs: 200 } as const;
    const { known } = start({
      nodes: nodes('127.0.0.1', '127.0.0.2'),
      listeners: [listener({ nodePort: servers[0]!.port, check })],
    });
    const state = await known.health(`node-1:${servers[0]!.port}`, 'unhealthy');
    expect(state.reason).toContain('does not answer within 200 ms');
    const port = await known.port();
    for (let i = 0; i < 6; i++) expect(await whoAnswers(port)).toBe('127.0.0.2');
  });
});

describe('datagrams', () => {
  test.each([
    { to: '::1', size: 0 },
    { to: '::1', size: 1_452 },
    { to: '::1', size: 9_000 },
    { to: '::1', size: 65_507 },
    { to: '127.0.0.1', size: 65_507 },
  ])('of $size bytes pass whole from IPv6 clients to $to, both ways', async ({ to, size }) => {
    const target = await server(cleanup, to, 0, (datagram, from, { socket }) => socket.send(datagram, from.port, from.address));
    const { known } = start({ nodes: nodes(to), listeners: [dns({ address: '::1', nodePort: target.port })] });
    const asking = await client(cleanup, await known.port('dns'), '::1');
    const datagram = Buffer.alloc(size, 'abcdefg');
    await asking.ask(datagram);
    expect(asking.heard.map((heard) => heard.equals(datagram))).toEqual([true]);
  });
});

test('after bad clients and bad targets nothing is left: no connection, no flow, no timer, no socket', async () => {
  const before = process.getActiveResourcesInfo().length;
  const own = new Cleanup();
  const silent = await backend(own, '127.0.0.1', 0, () => {});
  const known = new Known();
  const forwarder = startForwarder({ onReport: known.take, log: quiet });
  const refused = listener({ id: 'refused', nodePort: 1 });
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: silent.port }), refused] }));
  const ports = [await known.port(), await known.port('refused')];
  const clients = await Promise.all(Array.from({ length: 40 }, (_, i) => open(ports[i % 2]!).catch(() => undefined)));
  clients.forEach((each, i) => {
    if (i % 4 === 0) each?.resetAndDestroy();
    else if (i % 4 === 2) each?.write(Buffer.alloc(1_000_000));
  });
  await forwarder.close(0);
  for (const each of clients) each?.destroy();
  await own.run();
  await until('what was begun has ended', () => process.getActiveResourcesInfo().length <= before);
  expect((await forwarder.counters()).sum.active).toBe(0);
});
