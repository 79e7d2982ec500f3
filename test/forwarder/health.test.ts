import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import { type RuleListener, type RuleNode, targetState } from '../../src/forwarder/rules.ts';
import { backend, backends, Cleanup, Known, listener, nodes, quiet, rules, startOwnTime, until, whoAnswers } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function start(part: { nodes: readonly RuleNode[]; listeners: readonly RuleListener[] }) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  forwarder.apply(rules(part));
  return { known, forwarder };
}

async function namesOf(port: number, count: number): Promise<Set<string>> {
  const names = new Set<string>();
  for (let i = 0; i < count; i++) names.add(await whoAnswers(port));
  return names;
}

test('nodes are unknown at first and soon settled; when nothing changes nothing more is reported', async () => {
  const [one] = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
  const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [listener({ nodePort: one!.port })] });
  await known.port();
  const ownMs = startOwnTime(cleanup);
  await Promise.all([known.health('node-1', 'healthy'), known.health('node-2', 'healthy')]);
  expect(ownMs()).toBeLessThan(500);
  expect(known.history[0]!.targets['node-1']?.health).toBe('unknown');
  const { reports } = known;
  const { accepted } = one!;
  await until('more checks', () => one!.accepted >= accepted + 2);
  expect(known.reports).toBe(reports);
  expect(targetState(known.targets, 'node-1', one!.port)?.health).toBe('healthy');
});

test('a NodePort that nobody serves yet is unknown, is found soon after it is served, and its node stays healthy', async () => {
  const [one, two] = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
  const { port: nodePort } = one!;
  await two!.close();
  const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [listener({ nodePort })] });
  await known.port();
  expect((await known.health(`node-2:${nodePort}`, 'unknown')).reason).toBe(`127.0.0.2:${nodePort} refuses connections`);
  expect((await known.health('node-2', 'healthy')).address).toBe('127.0.0.2');
  await backend(cleanup, '127.0.0.2', nodePort);
  const ownMs = startOwnTime(cleanup);
  await until('the exception to go', () => !known.targets.has(`node-2:${nodePort}`));
  expect(ownMs()).toBeLessThan(1_500);
  expect(known.history.flatMap((report) => Object.values(report.targets)).some((state) => state?.health === 'unhealthy')).toBe(
    false,
  );
});

test('a served NodePort that begins to refuse is unhealthy after a few looks, costs no client, and comes back', async () => {
  const [one, two] = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
  const { port: nodePort } = one!;
  const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [listener({ nodePort })] });
  const port = await known.port();
  expect(await namesOf(port, 4)).toEqual(new Set(['127.0.0.1', '127.0.0.2']));
  await two!.close();
  expect(await namesOf(port, 6)).toEqual(new Set(['127.0.0.1']));
  await known.health(`node-2:${nodePort}`, 'unhealthy');
  await backend(cleanup, '127.0.0.2', nodePort);
  await until('the exception to go', () => !known.targets.has(`node-2:${nodePort}`));
  expect(await namesOf(port, 4)).toEqual(new Set(['127.0.0.1', '127.0.0.2']));
});

test('of several addresses the first that serves NodePorts is used, even if one before it answers and refuses', async () => {
  const serving = await backend(cleanup, '127.0.0.2');
  const { known } = start({
    nodes: [{ id: 'node', addresses: ['127.0.0.9', '127.0.0.2'] }],
    listeners: [listener({ nodePort: serving.port })],
  });
  const port = await known.port();
  expect(await whoAnswers(port)).toBe('127.0.0.2');
  await until('the address', () => known.targets.get('node')?.address === '127.0.0.2');
  expect(await namesOf(port, 3)).toEqual(new Set(['127.0.0.2']));
  expect(known.targets.get(`node:${serving.port}`)).toBeUndefined();
});

test('a node that leaves is no longer watched, nor are its NodePorts', async () => {
  const [one] = await backends(cleanup, ['127.0.0.1']);
  const { port: nodePort } = one!;
  const { known, forwarder } = start({ nodes: nodes('127.0.0.1', '127.0.0.9'), listeners: [listener({ nodePort })] });
  await known.health(`node-2:${nodePort}`, 'unknown');
  forwarder.apply({
    version: 1,
    base: 1,
    generation: 2,
    nodes: { 'node-2': null },
    nodeSets: { all: ['node-1'] },
    listeners: {},
  });
  await until('it to be forgotten', () => known.generation === 2);
  expect([...known.targets.keys()]).toEqual(['node-1']);
});
