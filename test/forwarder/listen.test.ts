import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import { failureOf } from '../../src/forwarder/listen.ts';
import type { ListenerState, RuleListener, Rules } from '../../src/forwarder/rules.ts';
import {
  backend,
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

function start(listeners: readonly RuleListener[]) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners }));
  return { known, forwarder };
}

function failed(known: Known, id = 'web'): Promise<Extract<ListenerState, { state: 'failed' }>> {
  return until(`${id} to fail`, () => {
    const state = known.listeners.get(id);
    return state?.state === 'failed' ? state : undefined;
  });
}

test('a port that is held is told with its holder, and served when it is free', async () => {
  const holder = await backend(cleanup, '127.0.0.1');
  const { port } = holder;
  const { known, forwarder } = start([listener({ port, nodePort: 1 })]);
  const { code, message } = await failed(known);
  expect(code).toBe('PortInUse');
  expect(message).toBe(
    `127.0.0.1 port ${port}/TCP is held by ${process.platform === 'linux' ? 'this very process' : 'another process'}`,
  );
  await holder.close();
  forwarder.apply({ version: 1, base: 1, generation: 2, nodes: {}, nodeSets: {}, listeners: {} });
  const ownMs = startOwnTime(cleanup);
  expect(await known.port()).toBe(port);
  expect(ownMs()).toBeLessThan(900);
});

test('a failed port is tried again by itself', async () => {
  const holder = await backend(cleanup, '127.0.0.1');
  const { port } = holder;
  const { known } = start([listener({ port, nodePort: 1 })]);
  await failed(known);
  await holder.close();
  expect(await known.port()).toBe(port);
});

test('with portFallback a port that is held is served on another one, and the report says which', async () => {
  const holder = await backend(cleanup, '127.0.0.1');
  const { known } = start([listener({ port: holder.port, nodePort: holder.port, portFallback: true })]);
  const port = await known.port();
  expect(port).not.toBe(holder.port);
  expect(await whoAnswers(port)).toBe('127.0.0.1');
});

test('a low port that may not be bound is told as such, and with portFallback served on a high one', async () => {
  const lowest =
    process.platform === 'linux' ? Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')) : 1024;
  const port = Math.max(1, lowest - 7);
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.(65_534);
  cleanup.add(() => {
    if (root) process.seteuid?.(0);
  });
  const server = await backend(cleanup, '127.0.0.1');
  const low = { address: '127.0.5.1', port, nodePort: server.port };
  const { known } = start([
    listener({ ...low, id: 'strict' }),
    listener({ ...low, id: 'lenient', portFallback: true, address: '127.0.5.2' }),
  ]);
  const high = await known.port('lenient');
  if (lowest > 1) {
    expect(await failed(known, 'strict')).toMatchObject({
      code: 'PortNotPermitted',
      message: `127.0.5.1 port ${port}/TCP may not be bound by this user`,
    });
    expect(high).toBe(port + 8_000);
  } else {
    expect([await known.port('strict'), high]).toEqual([port, port]);
  }
  expect(await whoAnswers(high, '127.0.5.2')).toBe('127.0.0.1');
});

test('what is wrong with one listener does not keep another from being served', async () => {
  const server = await backend(cleanup, '127.0.0.1');
  const good = { nodePort: server.port };
  const { known } = start([
    listener({ ...good, id: 'elsewhere', address: '192.0.2.1' }),
    listener({ ...good, id: 'sctp', protocol: 'SCTP' as never }),
    listener({ ...good, id: 'malformed', sourceRanges: ['10.0.0.0/33', 'all'], drainMs: -1, check: { kind: 'http', path: 'x' } }),
    listener({ ...good, id: 'nowhere', nodeSet: 'unknown' }),
    listener(good),
  ]);
  expect(await whoAnswers(await known.port())).toBe('127.0.0.1');
  expect(await failed(known, 'elsewhere')).toMatchObject({
    code: 'AddressUnavailable',
    message: '192.0.2.1 is no address of this machine',
  });
  expect(await failed(known, 'sctp')).toMatchObject({ code: 'ProtocolUnsupported' });
  const { code, message } = await failed(known, 'malformed');
  expect(code).toBe('SyncFailed');
  for (const part of ['drainMs -1', 'source range "10.0.0.0/33"', 'source range "all"', 'check.path "x"'])
    expect(message).toContain(part);
  await expect(whoAnswers(await known.port('nowhere'))).rejects.toThrow();
});

test('a port passes from one listener to another in one change', async () => {
  const server = await backend(cleanup, '127.0.0.1');
  const { known, forwarder } = start([listener({ nodePort: server.port })]);
  const port = await known.port();
  const next = listener({ id: 'next', port, nodePort: server.port });
  forwarder.apply({ version: 1, base: 1, generation: 2, nodes: {}, nodeSets: {}, listeners: { web: null, next } });
  expect(await known.port('next')).toBe(port);
  expect(await whoAnswers(port)).toBe('127.0.0.1');
  await until('the first to be gone', () => !known.listeners.has('web'));
});

test('a listener that moves to another address is a new socket; connections to the old one drain', async () => {
  const server = await backend(cleanup, '127.0.0.1');
  const { known, forwarder } = start([listener({ nodePort: server.port })]);
  const before = await known.port();
  const client = await open(before);
  await firstLine(client);
  const moved = listener({ nodePort: server.port, address: '127.0.0.5', drainMs: 60_000 });
  forwarder.apply({ version: 1, base: 1, generation: 2, nodes: {}, nodeSets: {}, listeners: { web: moved } });
  await until('the new address', () => {
    const state = known.listeners.get('web');
    return state?.state === 'listening' && state.address === '127.0.0.5';
  });
  expect(await whoAnswers(await known.port(), '127.0.0.5')).toBe('127.0.0.1');
  await expect(open(before)).rejects.toThrow('ECONNREFUSED');
  client.write('still\n');
  expect(await firstLine(client)).toBe('still');
  client.destroy();
  await closed(client);
  expect(known.listeners.get('web')?.state).toBe('listening');
});

test.each([
  ['EADDRINUSE', 'PortInUse'],
  ['EACCES', 'PortNotPermitted'],
  ['EADDRNOTAVAIL', 'AddressUnavailable'],
  ['EAFNOSUPPORT', 'AddressUnavailable'],
  ['EMFILE', 'SyncFailed'],
  [undefined, 'SyncFailed'],
])('%s is told as %s', (system, code) => expect(failureOf(system)).toBe(code));

const ids = ['a', 'b', 'c', 'd'] as const;
const wanted = fc.uniqueArray(fc.constantFrom(...ids), { maxLength: 4 });

test('whatever the sequence of rules, in the end exactly the listeners of the last ones are open', async () => {
  const server = await backend(cleanup, '127.0.0.1');
  const of = (generation: number, open: readonly string[]): Rules =>
    rules({ generation, nodes: nodes('127.0.0.1'), listeners: open.map((id) => listener({ id, nodePort: server.port })) });
  await fc.assert(
    fc.asyncProperty(fc.array(wanted, { minLength: 1, maxLength: 6 }), async (sequence) => {
      const known = new Known();
      const forwarder = startForwarder({ onReport: known.take, log: quiet });
      try {
        sequence.forEach((open, i) => {
          forwarder.apply(of(i, open));
        });
        const last = [...sequence.at(-1)!].sort();
        await until('the last rules', () => {
          const listening = [...known.listeners].filter(([, { state }]) => state === 'listening').map(([id]) => id);
          return (
            known.generation === sequence.length - 1 &&
            listening.sort().join() === last.join() &&
            known.listeners.size === last.length
          );
        });
        for (const id of last) expect(await whoAnswers(await known.port(id))).toBe('127.0.0.1');
      } finally {
        await forwarder.close(0);
      }
    }),
    { numRuns: 25 },
  );
});
