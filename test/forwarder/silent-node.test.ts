import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import type { RuleListener, RuleNode } from '../../src/forwarder/rules.ts';
import { backend, Cleanup, Known, listener, nodes, quiet, rules, startOwnTime, until, whoAnswers } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function start(part: { nodes: readonly RuleNode[]; listeners: readonly RuleListener[] }) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  forwarder.apply(rules(part));
  return { known, forwarder };
}

import { frozenNode } from './frozen-node.ts';

async function namesOf(port: number, count: number): Promise<Set<string>> {
  const names = new Set<string>();
  for (let i = 0; i < count; i++) names.add(await whoAnswers(port));
  return names;
}

test('a node that goes silent is found within seconds, no client fails meanwhile, and it is used again when it answers', async () => {
  const serving = await backend(cleanup, '127.0.0.1');
  const { port: nodePort } = serving;
  const node = await frozenNode(cleanup, '127.0.0.2', nodePort);
  const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [listener({ nodePort })] });
  const port = await known.port();
  await known.health('node-2', 'healthy');
  await node.freeze();
  const ownMs = startOwnTime(cleanup);
  expect(await namesOf(port, 6)).toContain('127.0.0.1');
  const { reason } = await known.health('node-2', 'unhealthy');
  expect(ownMs()).toBeLessThan(4_500);
  expect(reason).toContain('no answer from 127.0.0.2');
  const quickMs = startOwnTime(cleanup);
  expect(await namesOf(port, 20)).toEqual(new Set(['127.0.0.1']));
  expect(quickMs()).toBeLessThan(1_000);
  node.thaw();
  await known.health('node-2', 'healthy');
  await until('it to be used', async () => (await whoAnswers(port)) === '127.0.0.2');
}, 120_000);

test('a node whose first address is silent is reached by its second, without a wait', async () => {
  const serving = await backend(cleanup, '127.0.0.1');
  const silent = await frozenNode(cleanup, '127.0.0.2', serving.port);
  await silent.freeze();
  const twoWays = { id: 'node', addresses: ['127.0.0.2', '127.0.0.1'] };
  const { known } = start({ nodes: [twoWays], listeners: [listener({ nodePort: serving.port })] });
  const port = await known.port();
  expect((await known.health('node', 'healthy')).address).toBe('127.0.0.1');
  const ownMs = startOwnTime(cleanup);
  expect(await namesOf(port, 5)).toEqual(new Set(['127.0.0.1']));
  expect(ownMs()).toBeLessThan(1_000);
});
