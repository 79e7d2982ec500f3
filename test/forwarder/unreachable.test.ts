import { afterEach, expect, test } from '@jest/globals';
import { CONNECT_TIMEOUT_MS } from '../../src/forwarder/dial.ts';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import type { RuleNode } from '../../src/forwarder/rules.ts';
import type { Wire, Wiring } from '../../src/forwarder/wire.ts';
import { netWiring } from '../../src/forwarder/wire-net.ts';
import { backend, Cleanup, Known, listener, quiet, rules, startOwnTime, until, whoAnswers } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** A network in which some addresses lead nowhere: `undefined` swallows what is sent, a code is what the system says. */
function network(nowhere: Map<string, string | undefined>): Wiring {
  const nothing: Wire = {
    owner: undefined as never,
    ends: () => ({ remoteAddress: '', remotePort: 0, localAddress: '', localPort: 0 }),
    keepAlive: () => {},
    resume: () => {},
    pause: () => {},
    write: () => true,
    end: () => {},
    reset: () => {},
    close: () => {},
  };
  return {
    serve: netWiring.serve,
    connect(address, port, owner) {
      if (!nowhere.has(address)) return netWiring.connect(address, port, owner);
      const wire = { ...nothing, owner };
      const code = nowhere.get(address);
      if (code !== undefined) setImmediate(() => owner.wireUnreachable(wire, code));
      return wire;
    },
  };
}

function start(nodes: readonly RuleNode[], nodePort: number, nowhere: Map<string, string | undefined>) {
  const known = new Known();
  const forwarder = startForwarder({ onReport: known.take, log: quiet, wiring: network(nowhere) });
  cleanup.forwarder(forwarder);
  forwarder.apply(rules({ nodes, listeners: [listener({ nodePort })] }));
  return Object.assign(known, { forwarder });
}

/** Two checks that fail, of a second each, on a busy machine. */
function sick(known: Known, node: string) {
  return until(
    `${node} to be unhealthy`,
    () => {
      const state = known.targets.get(node);
      return state?.health === 'unhealthy' ? state : undefined;
    },
    20_000,
  );
}

test('nodes that this machine has no way to are told as such, each address with what became of it', async () => {
  const nowhere = new Map<string, string | undefined>([
    ['127.0.0.5', undefined],
    ['127.0.0.6', 'ENETUNREACH'],
    ['127.0.0.7', 'EHOSTUNREACH'],
  ]);
  const nodes = [
    { id: 'kind', addresses: ['127.0.0.5', '127.0.0.6'] },
    { id: 'minikube', addresses: ['127.0.0.7'] },
  ];
  const known = start(nodes, 30_080, nowhere);
  expect(await sick(known, 'kind')).toMatchObject({
    unreachable: true,
    reason:
      'no answer from 127.0.0.5 within 1000 ms, on any NodePort tried; this machine knows no way to 127.0.0.6 (ENETUNREACH)',
  });
  expect(await sick(known, 'minikube')).toMatchObject({
    unreachable: true,
    reason: 'this machine knows no way to 127.0.0.7 (EHOSTUNREACH)',
  });
});

test('of several addresses the one that can be reached is found and told, and clients do not wait for the others', async () => {
  const server = await backend(cleanup, '127.0.0.8');
  const nowhere = new Map<string, string | undefined>([
    ['127.0.0.5', undefined],
    ['127.0.0.6', 'ENETUNREACH'],
  ]);
  const known = start([{ id: 'kind', addresses: ['127.0.0.5', '127.0.0.6', '127.0.0.8'] }], server.port, nowhere);
  const port = await known.port();
  await until('the way to be known', () => known.targets.get('kind')?.address === '127.0.0.8');
  const ownMs = startOwnTime(cleanup);
  expect(await whoAnswers(port)).toBe('127.0.0.8');
  expect(ownMs()).toBeLessThan(CONNECT_TIMEOUT_MS);
});

test('a node that went silent after it had answered is no matter of the way there', async () => {
  const server = await backend(cleanup, '127.0.0.8');
  const nowhere = new Map<string, string | undefined>();
  const known = start([{ id: 'node-1', addresses: ['127.0.0.8'] }], server.port, nowhere);
  await known.health('node-1', 'healthy');
  nowhere.set('127.0.0.8', undefined);
  const state = await sick(known, 'node-1');
  expect(state).toMatchObject({ reason: 'no answer from 127.0.0.8 within 1000 ms, on any NodePort tried' });
  expect(state.unreachable).toBeUndefined();
});

test('a node that joins gets no client before it has answered, unless there is no other', async () => {
  const good = await backend(cleanup, '127.0.0.8');
  const nowhere = new Map<string, string | undefined>([['127.0.0.5', undefined]]);
  const first = { id: 'node-1', addresses: ['127.0.0.8'] };
  const known = start([first], good.port, nowhere);
  await known.health('node-1', 'healthy');
  const port = await known.port();
  const joined = [first, { id: 'node-2', addresses: ['127.0.0.5'] }];
  const rule = listener({ nodePort: good.port });
  known.forwarder.apply(rules({ generation: 2, nodes: joined, listeners: [rule] }));
  for (let i = 0; i < 20; i++) expect(await whoAnswers(port)).toBe('127.0.0.8');
  expect((await known.forwarder.counters()).sum.retries).toBe(0);
  nowhere.delete('127.0.0.5');
  const late = await backend(cleanup, '127.0.0.5', good.port);
  known.forwarder.apply(rules({ generation: 3, nodes: joined.slice(1), listeners: [rule] }));
  expect(await whoAnswers(port)).toBe('127.0.0.5');
  await late.close();
});
