import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { NodeTarget } from '../../../src/model.ts';
import { Link, type News } from '../../../src/providers/local/link.ts';
import { renderListeners, type WantedListener } from '../../../src/providers/local/rules.ts';
import { type BalancerWish, balancer, holding, node, quiet } from '../builders.ts';
import { FakeForwarder } from './fake-forwarder.ts';

const nodes = [node('n1', '10.0.0.1'), node('n2', '10.0.0.2')];

let forwarder: FakeForwarder;
let news: News[];

beforeEach(() => {
  news = [];
});

async function start(answerMs?: number): Promise<Link> {
  const link = new Link(quiet, (told) => news.push(told), answerMs);
  await link.start(({ onReport }) => {
    forwarder = new FakeForwarder(onReport);
    return forwarder;
  });
  return link;
}

function listener(name: string, wish: BalancerWish = {}): WantedListener {
  const [only] = renderListeners(holding(balancer({ name, ...wish }), ['10.9.0.1']), { portFallback: false });
  return only!;
}

/** What the forwarder has in the end, whatever the way there. */
function inForce(): object {
  const { listeners, nodeSets, nodes: known } = forwarder.table;
  const sends = [...listeners.values()].map(({ id, nodeSet, nodePort }) => [id, nodePort, nodeSets.get(nodeSet)]);
  return { sends, sets: nodeSets.size, nodes: [...known.values()].map(({ id, addresses }) => `${id}=${addresses.join()}`) };
}

describe('what is sent', () => {
  test('one change for all that happens in a tick, with one set of nodes for all', async () => {
    const link = await start();
    const all = Array.from({ length: 100 }, (_, i) => listener(`s${i}`));
    for (const wanted of all) link.put(wanted, nodes);
    await Promise.all(all.map(({ id }) => link.opened(id)));
    expect(forwarder.taken).toHaveLength(2); // whole rules at the start, then this
    expect(forwarder.table.listeners.size).toBe(100);
    expect(inForce()).toMatchObject({ sets: 1, nodes: ['n1=10.0.0.1', 'n2=10.0.0.2'] });
  });

  test('a node that joins is one new set, and the old one goes with its last user', async () => {
    const link = await start();
    const [a, b] = [listener('a'), listener('b')];
    const three = [...nodes, node('n3', '10.0.0.3')];
    link.put(a, nodes);
    link.put(b, nodes);
    await link.opened(b.id);
    link.put(a, three);
    await tick();
    expect(inForce()).toMatchObject({ sets: 2 });
    link.put(b, [...three]);
    await tick();
    expect(inForce()).toMatchObject({ sets: 1, nodes: ['n1=10.0.0.1', 'n2=10.0.0.2', 'n3=10.0.0.3'] });
    link.put(a, nodes.slice(1));
    link.put(b, nodes.slice(1));
    await tick();
    expect(inForce()).toEqual({
      sends: [
        [a.id, a.nodePort, ['n2']],
        [b.id, b.nodePort, ['n2']],
      ],
      sets: 1,
      nodes: ['n2=10.0.0.2'],
    });
  });

  test('when all get other nodes in one tick no listener is sent, and each is open once the set is in force', async () => {
    const link = await start();
    const all = Array.from({ length: 50 }, (_, i) => listener(`s${i}`));
    const put = (targets: readonly NodeTarget[]) => all.forEach((wanted) => void link.put(wanted, targets));
    put(nodes);
    await tick();
    const [before] = forwarder.table.nodeSets.keys();
    put([...nodes, node('n3', '10.0.0.3')]);
    let isOpen = false;
    forwarder.silent = true;
    const open = Promise.all(all.map(({ id }) => link.opened(id))).then(() => (isOpen = true));
    await tick();
    expect(forwarder.taken.at(-1)).toMatchObject({ listeners: {}, nodes: { n3: {} } });
    expect(Object.fromEntries(forwarder.table.nodeSets)).toEqual({ [before!]: ['n1', 'n2', 'n3'] });
    expect(isOpen).toBe(false);
    forwarder.answer();
    await open;
    forwarder.silent = false;
    put(nodes.slice(0, 1));
    await tick();
    expect(forwarder.taken.at(-1)).toMatchObject({ listeners: {}, nodes: { n2: null, n3: null } });
    expect(Object.fromEntries(forwarder.table.nodeSets)).toEqual({ [before!]: ['n1'] });
  });

  test('whatever happens in which tick, the forwarder has each listener with its nodes and nothing else', async () => {
    const some = Array.from({ length: 4 }, (_, i) => listener(`s${i}`));
    const known = Array.from({ length: 4 }, (_, i) => node(`n${i}`, `10.0.0.${i + 1}`));
    const one = fc.constantFrom(...some);
    const step = fc.oneof(
      fc.record({ wanted: one, targets: fc.subarray(known, { minLength: 1 }) }),
      fc.record({ wanted: fc.constant(undefined), targets: fc.subarray(known, { minLength: 1 }) }), // all of them
      fc.record({ wanted: one, targets: fc.constant(undefined) }),
      fc.constant('tick' as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const link = await start();
        const expected = new Map<string, readonly string[]>();
        const put = (wanted: WantedListener, targets: readonly NodeTarget[]) => {
          link.put(wanted, targets);
          expected.set(
            wanted.id,
            targets.map(({ name }) => name),
          );
        };
        for (const each of [...steps, 'tick' as const]) {
          if (each === 'tick') {
            await tick();
            const { listeners, nodeSets, nodes: told } = forwarder.table;
            expect(new Map([...listeners.values()].map(({ id, nodeSet }) => [id, nodeSets.get(nodeSet)]))).toEqual(expected);
            expect(nodeSets.size).toBe(new Set([...expected.values()].map(String)).size);
            expect(new Set(told.keys())).toEqual(new Set([...expected.values()].flat()));
          } else if (!each.targets) {
            link.remove(each.wanted.id);
            expected.delete(each.wanted.id);
          } else if (each.wanted) put(each.wanted, each.targets);
          else for (const id of [...expected.keys()]) put(some.find((other) => other.id === id)!, each.targets);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('a node that gets another address is one changed node', async () => {
    const link = await start();
    const a = listener('a');
    link.put(a, nodes);
    await link.opened(a.id);
    link.put(a, [node('n1', '10.0.0.9'), nodes[1]!]);
    await tick();
    expect(forwarder.taken.at(-1)).toMatchObject({ listeners: {}, nodeSets: {}, nodes: { n1: { addresses: ['10.0.0.9'] } } });
  });

  test('what comes and goes within a tick is not sent, and the last listener leaves nothing', async () => {
    const link = await start();
    const a = listener('a');
    link.put(a, nodes);
    link.remove(a.id);
    await link.closed(a.id);
    await tick();
    expect(inForce()).toEqual({ sends: [], sets: 0, nodes: [] });
    link.put(a, nodes);
    await link.opened(a.id);
    link.remove(a.id);
    await link.closed(a.id);
    expect(inForce()).toEqual({ sends: [], sets: 0, nodes: [] });
  });

  test('a forwarder that has lost the base gets everything', async () => {
    const link = await start();
    const [a, b] = [listener('a'), listener('b')];
    link.put(a, nodes);
    await link.opened(a.id);
    forwarder.forget();
    link.put(b, nodes);
    await link.opened(b.id);
    expect([...forwarder.table.listeners.keys()]).toEqual([a.id, b.id]);
    expect('base' in forwarder.taken.at(-1)!).toBe(false);
  });

  test('what is refused is not sent', async () => {
    const link = await start();
    const refusal = { code: 'ProtocolUnsupported', message: 'no data path' } as const;
    const signals = { ...listener('signals', { ports: [{ port: 9, protocol: 'SCTP' }] }), refusal };
    link.put(signals, nodes);
    await tick();
    expect(forwarder.table.listeners.size).toBe(0);
    link.remove(signals.id);
    await link.closed(signals.id);
  });

  test('after any number of changes the forwarder has what whole rules would say', async () => {
    const link = await start();
    const lists = [nodes, nodes.slice(1), [...nodes, node('n3', '10.0.0.3')], [node('n1', '10.0.0.7')]];
    for (let i = 0; i < 200; i += 1) {
      const wanted = listener(`s${(i * 7) % 11}`, { ports: [{ port: 80, nodePort: 30_000 + (i % 3) }] });
      if (i % 4 === 3) link.remove(wanted.id);
      else link.put(wanted, lists[(i * 5) % lists.length]!);
      if (i % 3 === 0) await tick();
    }
    await tick();
    const changed = inForce();
    forwarder.forget();
    const last = listener('last');
    link.put(last, nodes);
    await link.opened(last.id);
    link.remove(last.id);
    await link.closed(last.id);
    expect(sorted(inForce())).toEqual(sorted(changed));
  });
});

describe('what is waited for', () => {
  test('a forwarder that does not answer is an error, and a later answer is news', async () => {
    const link = await start(20);
    forwarder.silent = true;
    const a = listener('a');
    link.put(a, nodes);
    await expect(link.opened(a.id)).rejects.toThrow('has not answered for 0.02 s');
    forwarder.report({ listeners: { [a.id]: { state: 'listening', address: a.address, port: a.port } } });
    expect(news).toEqual([{ listeners: [a.id], targets: [], closed: [] }]);
    expect(link.state(a.id)).toMatchObject({ state: 'listening' });
  });

  test('a listener is closed when the generation without it is in force, also where its end is never told', async () => {
    const link = await start();
    const a = listener('a');
    link.put(a, nodes);
    await link.opened(a.id);
    forwarder.silent = true;
    link.remove(a.id);
    const closed = link.closed(a.id);
    await tick();
    expect(link.isOpen(a.id)).toBe(true);
    forwarder.report({});
    await closed;
    expect(link.state(a.id)).toBeUndefined();
  });

  test('a forwarder that is down fails what waits, and what comes back is news', async () => {
    const link = await start();
    const a = listener('a');
    link.put(a, nodes);
    await link.opened(a.id);
    forwarder.report({ listeners: { [a.id]: { state: 'failed', code: 'ForwarderDown', message: 'died' } } });
    await link.opened(a.id);
    forwarder.report({ listeners: { [a.id]: { state: 'listening', address: a.address, port: a.port } } });
    expect(news.flatMap(({ listeners }) => listeners)).toEqual([a.id, a.id]);
  });
});

describe('what is news', () => {
  test('health that changes, of a node or of one of its ports, and not what is told again', async () => {
    const link = await start();
    const a = listener('a');
    link.put(a, nodes);
    await link.opened(a.id);
    news = [];
    forwarder.report({ targets: { n1: { health: 'healthy', asOf: 2, reason: 'still' } } });
    expect(news).toEqual([]);
    forwarder.report({ targets: { [`n1:${a.nodePort}`]: { health: 'unhealthy', asOf: 3 } } });
    expect(news.splice(0)).toEqual([{ listeners: [], targets: [{ node: 'n1', nodePort: a.nodePort }], closed: [] }]);
    expect([link.target('n1', a.nodePort)?.health, link.target('n1', 1)?.health]).toEqual(['unhealthy', 'healthy']);
    forwarder.report({ targets: { [`n1:${a.nodePort}`]: null, n2: { health: 'unhealthy', asOf: 4 } } });
    expect(news.splice(0)).toEqual([
      { listeners: [], targets: [{ node: 'n1', nodePort: a.nodePort }, { node: 'n2' }], closed: [] },
    ]);
  });
});

test('of several addresses of a node the log says which one is used, and what holds the forwarder back, with the cure', async () => {
  const told: string[] = [];
  const tell = (fields: object, message: string) => void told.push(`${message} ${JSON.stringify(fields)}`);
  const link = new Link({ ...quiet, info: tell, warn: tell }, () => {});
  await link.start(({ onReport }) => {
    forwarder = new FakeForwarder(onReport);
    return forwarder;
  });
  const a = listener('a');
  link.put(a, [{ ...node('n1', '172.18.0.2'), addresses: ['172.18.0.2', 'fc00::2'] }, node('n2', '172.18.0.3')]);
  await link.opened(a.id);
  told.length = 0;
  const healthy = { health: 'healthy', asOf: 1 } as const;
  const both = { n1: { ...healthy, address: 'fc00::2' }, n2: { ...healthy, address: '172.18.0.3' } };
  forwarder.report({ targets: both });
  forwarder.report({ targets: both });
  expect(told.splice(0)).toEqual(['the node is reached at this one of its addresses {"node":"n1","address":"fc00::2"}']);
  forwarder.report({ warnings: { ConnectionsFull: 'all of 100 places are taken' } });
  expect(told.splice(0)).toEqual([expect.stringMatching(/held back: all of 100 places .*"cure":"Raise the limit of open files/)]);
  forwarder.report({ warnings: { ConnectionsFull: null } });
  expect(told).toEqual(['the forwarder is held back no more {"code":"ConnectionsFull"}']);
});

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))));
}

function sorted(state: object): object {
  return Object.fromEntries(
    Object.entries(state).map(([name, value]) => [name, Array.isArray(value) ? [...value].sort() : value]),
  );
}
