import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import type { RuleListener, RuleNode } from '../../src/forwarder/rules.ts';
import { backends, Cleanup, Known, listener, nodes, quiet, rules, until, whoAnswers } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function start(part: { nodes: readonly RuleNode[]; listeners: readonly RuleListener[] }) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet }));
  forwarder.apply(rules(part));
  return { known, forwarder };
}

/** A node's healthCheckNodePort, as kube-proxy serves it. */
async function healthz(address: string, status: number, port = 0) {
  const asked: string[] = [];
  const answer = { status, asked };
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(answer.status).end('{"service":{"namespace":"a","name":"b"},"localEndpoints":1}');
  });
  server.listen(port, address);
  await once(server, 'listening');
  cleanup.add(() => server.closeAllConnections());
  cleanup.add(() => void server.close());
  return Object.assign(answer, { port: (server.address() as AddressInfo).port });
}

async function namesOf(port: number, count: number): Promise<Set<string>> {
  const names = new Set<string>();
  for (let i = 0; i < count; i++) names.add(await whoAnswers(port));
  return names;
}

test('with localOnly only nodes whose health check answers 200 get traffic, even if none does; the check is shared', async () => {
  const servers = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
  const here = await healthz('127.0.0.1', 200);
  const there = await healthz('127.0.0.2', 503, here.port);
  const local = {
    nodePort: servers[0]!.port,
    localOnly: true,
    check: { kind: 'http', port: here.port, path: '/healthz' },
  } as const;
  const listeners = [listener(local), listener({ ...local, id: 'twin' })];
  const begun = performance.now();
  const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners });
  const port = await known.port();
  await until('the first pass', async () => whoAnswers(port).catch(() => undefined));
  expect(await namesOf(port, 6)).toEqual(new Set(['127.0.0.1']));
  await known.health(`node-2:${local.nodePort}`, 'unhealthy');
  expect(known.targets.get(`node-2:${local.nodePort}`)?.reason).toBe(`127.0.0.2:${here.port}/healthz answers 503`);
  // One look a round for both listeners, and one more whenever the other node has changed its mind.
  expect(here.asked.length).toBeLessThan((performance.now() - begun) / 300 + 4);

  [here.status, there.status] = [503, 200];
  await until('the pod to have moved', async () => (await whoAnswers(port).catch(() => '')) === '127.0.0.2');
  await known.health(`node-1:${local.nodePort}`, 'unhealthy');
  there.status = 503;
  await until('nobody to be left', async () =>
    whoAnswers(port).then(
      () => false,
      () => true,
    ),
  );
});

test('without localOnly, when every target is down all are tried', async () => {
  const servers = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
  const bad = await healthz('127.0.0.1', 500);
  await healthz('127.0.0.2', 500, bad.port);
  const web = listener({ nodePort: servers[0]!.port, check: { kind: 'http', port: bad.port, path: '/ready', intervalMs: 100 } });
  const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [web] });
  const port = await known.port();
  await known.health(`node-1:${web.nodePort}`, 'unhealthy');
  await known.health(`node-2:${web.nodePort}`, 'unhealthy');
  expect(await namesOf(port, 4)).toEqual(new Set(['127.0.0.1', '127.0.0.2']));
});

test('with localOnly a listener whose node set is exchanged for another keeps what is known of the nodes in both', async () => {
  const servers = await backends(cleanup, ['127.0.0.1', '127.0.0.2']);
  const here = await healthz('127.0.0.1', 200);
  await healthz('127.0.0.2', 503, here.port);
  const check = { kind: 'http', port: here.port, path: '/healthz', intervalMs: 60_000 } as const;
  const local = listener({ nodePort: servers[0]!.port, localOnly: true, check });
  const { known, forwarder } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [local] });
  const port = await known.port();
  await until('the first pass', async () => whoAnswers(port).catch(() => undefined));
  const whole = rules({ generation: 2, nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [{ ...local, nodeSet: 'ready' }] });
  forwarder.apply({ ...whole, nodeSets: { ready: ['node-1'] } });
  expect(await whoAnswers(port)).toBe('127.0.0.1'); // asked in the same turn, before any check could have said so again
});
