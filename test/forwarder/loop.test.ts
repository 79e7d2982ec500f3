import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import { isAt } from '../../src/forwarder/loop.ts';
import type { RuleListener, RuleNode } from '../../src/forwarder/rules.ts';
import { backend, Cleanup, closed, Known, listener, nodes, open, quiet, rules, until, whoAnswers } from './builders.ts';
import { client, server } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function start(part: { nodes: readonly RuleNode[]; listeners: readonly RuleListener[] }) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  forwarder.apply(rules(part));
  return { known, forwarder };
}

/** Serves at a free port, which then becomes the NodePort as well. */
async function startLoop(address: string) {
  const rule = listener({ address, nodePort: 1 });
  const started = start({ nodes: nodes('127.0.0.1'), listeners: [rule] });
  const port = await started.known.port();
  const apply = (generation: number, targets: readonly RuleNode[]) =>
    started.forwarder.apply(rules({ generation, nodes: targets, listeners: [{ ...rule, nodePort: port }] }));
  return { ...started, port, apply };
}

/** Connects until the loop is told. */
async function told(known: Known, port: number) {
  return until('the loop to be told', async () => {
    const state = known.listeners.get('web');
    if (state?.state === 'failed') return state;
    await open(port).then(closed, () => {});
    return undefined;
  });
}

test.each(['127.0.0.1', '0.0.0.0', '::'])(
  'a listener at %s whose target is itself is named, and takes no more than its clients',
  async (address) => {
    const { known, forwarder, port, apply } = await startLoop(address);
    apply(2, nodes('127.0.0.1'));
    expect(await told(known, port)).toEqual({
      state: 'failed',
      code: 'TargetLoops',
      message: `its target 127.0.0.1:${port} is this listener itself`,
    });
    for (let i = 0; i < 5; i++) await open(port).then(closed, () => {});
    const { sum } = await forwarder.counters();
    expect(sum.active).toBeLessThan(5);
    expect(sum.connections).toBeLessThan(100);
  },
);

test('with another target that one serves, and when its own goes the listener is as good as any', async () => {
  const { known, port, apply } = await startLoop('127.0.0.1');
  await backend(cleanup, '127.0.0.2', port);
  apply(2, nodes('127.0.0.1', '127.0.0.2'));
  for (let i = 0; i < 6; i++) expect(await whoAnswers(port)).toBe('127.0.0.2');
  expect(known.listeners.get('web')?.state).toBe('listening');
  apply(3, nodes('127.0.0.1'));
  await told(known, port);
  apply(4, [{ id: 'node-2', addresses: ['127.0.0.2'] }]);
  expect(await known.port()).toBe(port);
  expect(await whoAnswers(port)).toBe('127.0.0.2');
});

test('datagrams are not sent round', async () => {
  const dns = listener({ id: 'dns', protocol: 'UDP', nodePort: 1, check: { kind: 'none' }, idleMs: 60_000 });
  const other = await server(cleanup, '127.0.0.1');
  const good = { ...dns, id: 'good', port: 0, nodePort: other.port };
  const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [dns, good] });
  const port = await known.port('dns');
  forwarder.apply(rules({ generation: 2, nodes: nodes('127.0.0.1'), listeners: [{ ...dns, nodePort: port }, good] }));
  const sender = await client(cleanup, port);
  await until('the loop to be told', () => {
    sender.send('round and round');
    return known.listeners.get('dns')?.state === 'failed';
  });
  expect(known.listeners.get('dns')).toMatchObject({ code: 'TargetLoops' });
  expect((await forwarder.counters()).listeners['dns']).toMatchObject({ connections: 0, active: 0 });
  expect(await (await client(cleanup, await known.port('good'))).who()).toBe('127.0.0.1');
});

test.each([
  { target: '10.0.0.1', at: '10.0.0.1', is: true },
  { target: '10.0.0.1', at: '::ffff:10.0.0.1', is: true },
  { target: 'fd00:0:0::1', at: 'fd00::1', is: true },
  { target: '10.0.0.2', at: '::ffff:10.0.0.1', is: false },
  { target: '10.0.0.2', at: undefined, is: false },
])('the target $target is where a client came to by $at: $is', ({ target, at, is }) => {
  expect(isAt(target, at)).toBe(is);
});
