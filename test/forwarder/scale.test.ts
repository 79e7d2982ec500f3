import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import { MAX_PROBES_PER_SECOND } from '../../src/forwarder/pace.ts';
import { backends, Cleanup, Known, listener, quiet, rules, startOwnTime, until, whoAnswers } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const hundred = Array.from({ length: 100 }, (_, i) => ({ id: `node-${i}`, addresses: [`127.0.3.${1 + (i % 2)}`] }));

test('a thousand listeners on a hundred nodes stay under the ceiling of probes and cost little', async () => {
  let accepted = 0;
  const servers = await backends(cleanup, ['127.0.3.1', '127.0.3.2'], (socket, { name }) => {
    accepted++;
    socket.end(`${name}\n`);
  });
  const nodePort = servers[0]!.port;
  // All listeners have one NodePort, so that every probe of the 100,000 targets arrives where it can be counted.
  const thousand = Array.from({ length: 1_000 }, (_, i) =>
    listener({ id: `l${i}`, nodePort, check: { kind: 'nodePort', intervalMs: 10_000 + i } }),
  );
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  forwarder.apply(rules({ nodes: hundred, listeners: thousand }));
  const port = await known.port('l500');
  await until('the nodes to be healthy', () => hundred.every(({ id }) => known.targets.get(id)?.health === 'healthy'));
  expect(await whoAnswers(port)).toMatch(/^127\.0\.3\.[12]$/);

  accepted = 0;
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const ownMs = startOwnTime(cleanup);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - begun) / 1_000; // more than asked for on a busy machine
  expect(accepted / (ownMs() / 1_000)).toBeGreaterThan(MAX_PROBES_PER_SECOND * 0.2);
  expect(accepted / seconds).toBeLessThan(MAX_PROBES_PER_SECOND * 1.5);
  expect((user + system) / 1e6 / seconds).toBeLessThan(0.7);
});

test('a node more is one small change for a thousand listeners', async () => {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  const thousand = Array.from({ length: 1_000 }, (_, i) => listener({ id: `l${i}`, nodePort: 20_000 + i }));
  forwarder.apply(rules({ nodes: hundred, listeners: thousand }));
  await known.port('l999');
  const before = process.cpuUsage();
  forwarder.apply({
    version: 1,
    base: 1,
    generation: 2,
    nodes: { more: { id: 'more', addresses: ['127.0.3.3'] } },
    nodeSets: { all: [...hundred.map(({ id }) => id), 'more'] },
    listeners: {},
  });
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000).toBeLessThan(250);
  await known.health('more', 'healthy');
});
