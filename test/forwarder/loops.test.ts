import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import { findLoops, type Spot } from '../../src/forwarder/loops.ts';
import type { ListenerState, RuleListener } from '../../src/forwarder/rules.ts';
import { backend, Cleanup, closed, Known, listener, open, quiet, rules, until, whoAnswers } from './builders.ts';
import { client } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** `names` of listeners at 10.0.0.1, 10.0.0.2, …, each with the targets that are named. */
function spots(leadsTo: Readonly<Record<string, readonly string[]>>, part: Partial<Spot> = {}): readonly Spot[] {
  const addressOf = new Map(Object.keys(leadsTo).map((id, i) => [id, `10.0.0.${i + 1}`]));
  return Object.entries(leadsTo).map(([id, targets]) => ({
    id,
    protocol: 'TCP',
    address: addressOf.get(id)!,
    port: 80,
    targets: targets.map((target) => ({ address: addressOf.get(target) ?? target, port: 80 })),
    ...part,
  }));
}

const nowhere = (_address: string): boolean => false;
const looped = (all: readonly Spot[], isOwn = nowhere) =>
  [...findLoops(all, isOwn)].map(([id, { isAll }]) => `${id}${isAll ? '' : ' in part'}`);

describe('listeners whose targets are listeners', () => {
  test.each([
    { name: 'itself', leadsTo: { a: ['a'] }, found: ['a'] },
    { name: 'each other', leadsTo: { a: ['b'], b: ['a'] }, found: ['a', 'b'] },
    { name: 'three in a circle', leadsTo: { a: ['b'], b: ['c'], c: ['a'] }, found: ['a', 'b', 'c'] },
    { name: 'a chain with an end', leadsTo: { a: ['b'], b: ['c'], c: ['10.9.0.1'] }, found: [] },
    { name: 'a way into a circle', leadsTo: { a: ['b'], b: ['c'], c: ['b'] }, found: ['b', 'c'] },
    { name: 'another target beside', leadsTo: { a: ['b', '10.9.0.1'], b: ['a'] }, found: ['a in part', 'b'] },
    { name: 'two circles', leadsTo: { a: ['b'], b: ['a'], c: ['d', 'a'], d: ['c'] }, found: ['a', 'b', 'c in part', 'd'] },
    { name: 'no targets', leadsTo: { a: [] }, found: [] },
  ])('$name', ({ leadsTo, found }) => {
    expect(looped(spots(leadsTo as Readonly<Record<string, readonly string[]>>))).toEqual(found);
  });

  test('another port or protocol is another listener', () => {
    const [a, b] = spots({ a: ['b'], b: ['a'] });
    expect(looped([a!, { ...b!, port: 81 }])).toEqual([]);
    expect(looped([a!, { ...b!, protocol: 'UDP' }])).toEqual([]);
  });

  test('a wildcard is at every address of this machine, in whatever form', () => {
    const [a, b] = spots({ a: ['b'], b: ['a'] });
    const isOwn = (address: string) => address === '10.0.0.2';
    expect(looped([a!, { ...b!, address: '0.0.0.0' }], isOwn)).toEqual(['a', 'b']);
    expect(looped([a!, { ...b!, address: '0:0:0:0:0:0:0:0' }], isOwn)).toEqual(['a', 'b']);
    expect(looped([a!, { ...b!, address: '0.0.0.0' }])).toEqual([]);
  });

  test('whatever the rules, without the targets that are passed over nothing comes back', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    fc.assert(
      fc.property(fc.array(fc.subarray([...names, '10.9.0.1']), { minLength: 6, maxLength: 6 }), (targets) => {
        const all = spots(Object.fromEntries(names.map((name, i) => [name, targets[i]!])));
        const found = findLoops(all, nowhere);
        const rest = all.map((spot) => {
          const back = found.get(spot.id)?.back;
          return { ...spot, targets: spot.targets.filter(({ address, port }) => !back?.has(`${address}:${port}`)) };
        });
        expect([...findLoops(rest, nowhere).keys()]).toEqual([]);
      }),
    );
  });

  test('a circle of 20,000 is found without a stack of that depth', () => {
    const all = Array.from({ length: 20_000 }, (_, i) => ({
      id: `listener-${i}`,
      protocol: 'TCP',
      address: '10.0.0.1',
      port: i,
      targets: [{ address: '10.0.0.1', port: (i + 1) % 20_000 }],
    }));
    expect(findLoops(all, nowhere).size).toBe(20_000);
  });
});

/** Listeners that the kernel has given ports, and then new targets: each has the one that is named, at 127.0.0.1. */
async function startRound(
  protocol: 'TCP' | 'UDP',
  leadsTo: Readonly<Record<string, string>>,
  others: readonly RuleListener[] = [],
) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet, maxConnections: 50 }));
  const check = protocol === 'UDP' ? ({ kind: 'none' } as const) : ({ kind: 'nodePort' } as const);
  const first = Object.keys(leadsTo).map((id) => listener({ id, protocol, nodePort: 1, check, idleMs: 60_000 }));
  const nodes = [{ id: 'here', addresses: ['127.0.0.1'] }];
  forwarder.apply(rules({ nodes, listeners: [...first, ...others] }));
  const ports = new Map<string, number>();
  for (const { id } of first) ports.set(id, await known.port(id));
  const apply = (generation: number, to: Readonly<Record<string, string | number | undefined>>) => {
    const aimed = first.map((rule) => ({ ...rule, nodePort: ports.get(String(to[rule.id])) ?? Number(to[rule.id]) }));
    forwarder.apply(rules({ generation, nodes, listeners: [...aimed, ...others] }));
  };
  apply(2, leadsTo);
  return { known, forwarder, ports, apply };
}

const loops = (state: ListenerState | undefined) => state?.state === 'failed' && state.code === 'TargetLoops';

describe('a loop over several listeners', () => {
  test.each([{ leadsTo: { a: 'b', b: 'a' } }, { leadsTo: { a: 'b', b: 'c', c: 'd', d: 'a' } }])(
    'is named at each of them, takes no more than its clients, and leaves others alone: $leadsTo',
    async ({ leadsTo }) => {
      const server = await backend(cleanup, '127.0.0.1');
      const { known, forwarder, ports, apply } = await startRound('TCP', leadsTo as Record<string, string>, [
        listener({ id: 'good', nodePort: server.port }),
      ]);
      for (const id of ports.keys()) await until(`${id} to be told`, () => loops(known.listeners.get(id)));
      expect(known.listeners.get('a')).toEqual({
        state: 'failed',
        code: 'TargetLoops',
        message: `its target 127.0.0.1:${ports.get('b')} is listener b, which leads back here`,
      });
      for (let i = 0; i < 5; i++) await open(ports.get('a')!).then(closed, () => {});
      expect((await forwarder.counters()).sum.connections).toBeLessThan(50); // the node's checks are among them
      expect(await whoAnswers(await known.port('good'))).toBe('127.0.0.1');

      apply(3, { ...leadsTo, b: server.port });
      expect(await known.port('a')).toBe(ports.get('a'));
      expect(await whoAnswers(ports.get('a')!)).toBe('127.0.0.1');
    },
  );

  test('datagrams do not go round, those that did when it came to be stop, and it serves when it is over', async () => {
    const { known, forwarder, ports, apply } = await startRound('UDP', { a: 'b', b: '1' });
    const sender = await client(cleanup, ports.get('a')!);
    sender.send('on a way with an end');
    apply(3, { a: 'b', b: 'a' });
    for (const id of ports.keys()) await until(`${id} to be told`, () => loops(known.listeners.get(id)));
    const before = (await forwarder.counters()).sum.connections;
    for (let i = 0; i < 20; i++) sender.send('round and round');
    await until('them to come', async () => (await forwarder.counters()).sum.failures >= 20);
    const { sum } = await forwarder.counters();
    expect(sum.connections).toBe(before);
    expect(sum.active).toBeLessThanOrEqual(1); // what b had begun
    apply(4, { a: 'b', b: '1' });
    await known.port('a');
    await known.port('b');
  });
});
