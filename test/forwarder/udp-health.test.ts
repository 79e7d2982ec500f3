import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import type { RuleListener } from '../../src/forwarder/rules.ts';
import { Cleanup, Known, listener, nodes, quiet, rules, until } from './builders.ts';
import { client, servers } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const both = ['127.0.0.1', '127.0.0.2'] as const;

function start(dns: RuleListener) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  forwarder.apply(rules({ nodes: nodes(...both), listeners: [dns] }));
  return { known, forwarder };
}

/** A node's health port, as kube-proxy has it: 200 or 503 for all of its Services, or a Service's own. */
async function healthz(address: string, status: number, port = 0) {
  const answer = { status, port };
  const server = createServer((_, response) => response.writeHead(answer.status).end());
  server.listen(port, address);
  await once(server, 'listening');
  cleanup.add(() => server.closeAllConnections());
  cleanup.add(() => void server.close());
  answer.port = (server.address() as AddressInfo).port;
  return answer;
}

function asked(nodePort: number, port: number, part: Partial<RuleListener> = {}): RuleListener {
  const check = { kind: 'http', port, path: '/healthz', intervalMs: 50, rise: 1, fall: 2 } as const;
  return listener({ id: 'dns', protocol: 'UDP', nodePort, check, idleMs: 120_000, ...part });
}

test('with UDP alone nodes are known by the health port, and flows leave one that says it is not well', async () => {
  const [one] = await servers(cleanup, both);
  const answers = [await healthz(both[0], 200)];
  answers.push(await healthz(both[1], 200, answers[0]!.port));
  const { known } = start(asked(one!.port, answers[0]!.port));
  await Promise.all(['node-1', 'node-2'].map((node) => known.health(node, 'healthy')));
  const port = await known.port('dns');
  const asking = await client(cleanup, port);
  const first = await asking.who();
  const index = (both as readonly string[]).indexOf(first);
  answers[index]!.status = 503;
  const { reason } = await known.health(`node-${index + 1}:${one!.port}`, 'unhealthy');
  expect(reason).toBe(`${first}:${answers[0]!.port}/healthz answers 503`);
  const other = both[1 - index];
  expect(await asking.who()).toBe(other);
  for (let i = 0; i < 4; i++) expect(await (await client(cleanup, port)).who()).toBe(other);
  answers[index]!.status = 200;
  await until('both to be used', async () => (await (await client(cleanup, port)).who()) === first);
});

test('with localOnly only nodes whose health port says 200 get datagrams, even if none does', async () => {
  const [one] = await servers(cleanup, both);
  const here = await healthz(both[0], 200);
  const there = await healthz(both[1], 503, here.port);
  const { known, forwarder } = start(asked(one!.port, here.port, { localOnly: true }));
  const port = await known.port('dns');
  await known.health('node-1', 'healthy');
  await known.health(`node-2:${one!.port}`, 'unhealthy');
  const asking = await client(cleanup, port);
  await until('the first answer', async () => {
    asking.send('who');
    return asking.heard.length > 0;
  });
  for (let i = 0; i < 4; i++) expect(await (await client(cleanup, port)).who()).toBe(both[0]);
  [here.status, there.status] = [503, 200];
  await known.health(`node-1:${one!.port}`, 'unhealthy');
  await until('the other node to be used', async () => (await (await client(cleanup, port)).who()) === both[1]);
  there.status = 503;
  await known.health(`node-2:${one!.port}`, 'unhealthy');
  const { failures } = (await forwarder.counters()).sum;
  (await client(cleanup, port)).send('nobody');
  await until('the failure', async () => (await forwarder.counters()).sum.failures === failures + 1);
});

test('refused datagrams make no node unhealthy: that is for checks to say', async () => {
  const [one, two] = await servers(cleanup, both);
  const here = await healthz(both[0], 200);
  await healthz(both[1], 200, here.port);
  const { known, forwarder } = start(asked(one!.port, here.port));
  await Promise.all(['node-1', 'node-2'].map((node) => known.health(node, 'healthy')));
  const port = await known.port('dns');
  one!.close();
  for (let i = 0; i < 6; i++) expect(await (await client(cleanup, port)).who()).toBe(two!.address);
  expect((await forwarder.counters()).sum.retries).toBeGreaterThan(0);
  expect([...known.targets.values()].map(({ health }) => health)).toEqual(['healthy', 'healthy']);
});
