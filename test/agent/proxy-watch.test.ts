import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { type ProxyAnswers, type ProxyFault, ProxyJudge, watchKubeProxy } from '../../src/agent/proxy-watch.ts';
import { until } from './parts.ts';

const fine: ProxyAnswers = { health: 200, mode: 'nftables' };
const silent: ProxyAnswers = { health: undefined, mode: undefined };
const ill: ProxyAnswers = { health: 503, mode: 'nftables' };

test.each<{ why: string; answers: readonly ProxyAnswers[]; fault: RegExp | undefined }>([
  { why: 'healthy, mode nftables', answers: [fine], fault: undefined },
  { why: 'healthy, mode iptables', answers: [{ health: 200, mode: 'iptables\n' }], fault: undefined },
  { why: 'mode ipvs', answers: [{ health: 200, mode: 'ipvs' }], fault: /mode ipvs: .*every node/ },
  { why: 'mode ipvs, and gone since', answers: [{ health: 200, mode: 'ipvs' }, silent], fault: undefined },
  { why: 'never heard: it may be another program', answers: [silent, silent, silent, silent], fault: undefined },
  { why: 'started anew', answers: [fine, silent, silent, fine, silent, silent], fault: undefined },
  { why: 'gone', answers: [fine, silent, silent, silent], fault: /does not answer any more/ },
  { why: 'ill for a moment', answers: [ill, ill, fine], fault: undefined },
  { why: 'ill', answers: [fine, ill, silent, ill], fault: /answers 503 to its health check/ },
  { why: 'well again', answers: [ill, ill, ill, ill, fine], fault: undefined },
])('kube-proxy is judged by its answers: $why', ({ answers, fault }) => {
  const judge = new ProxyJudge();
  const last = answers.map((one) => judge.see(one)).at(-1);
  if (fault) expect(last).toEqual({ code: 'KubeProxyUnfit', message: expect.stringMatching(fault) });
  else expect(last).toBeUndefined();
});

const toEnd: (() => void)[] = [];
afterEach(() => {
  for (const end of toEnd.splice(0).reverse()) end();
});

/** A kube-proxy's two servers in one, which says what the test wants. */
async function fakeProxy() {
  const says = { status: 200, mode: 'nftables' };
  const server: Server = createServer((request, response) => {
    if (request.url === '/proxyMode') response.end(says.mode);
    else response.writeHead(request.url === '/healthz' ? says.status : 404).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  toEnd.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  return { says, server, port: (server.address() as AddressInfo).port };
}

test('a fault is told once, and its end; after the stop nothing is', async () => {
  const proxy = await fakeProxy();
  const told: (ProxyFault | undefined)[] = [];
  const ports = { health: proxy.port, metrics: proxy.port };
  const stop = await watchKubeProxy({ changed: (fault) => told.push(fault), ports, everyMs: 10 });
  toEnd.push(stop);
  expect(told).toEqual([]);
  proxy.says.status = 503;
  await until('the fault is told', () => told.length === 1);
  proxy.says.status = 200;
  await until('its end is told', () => told.length === 2);
  expect(told).toEqual([{ code: 'KubeProxyUnfit', message: expect.stringContaining('503') }, undefined]);
  proxy.says.mode = 'ipvs';
  await until('the mode is told', () => told.length === 3);
  stop();
  proxy.says.mode = 'nftables';
  await new Promise((resolve) => proxy.server.close(resolve)); // whatever was under way has ended
  expect(told).toHaveLength(3);
});

test('the mode is known when the watch begins', async () => {
  const proxy = await fakeProxy();
  proxy.says.mode = 'ipvs';
  const told: (ProxyFault | undefined)[] = [];
  toEnd.push(await watchKubeProxy({ changed: (fault) => told.push(fault), ports: { health: proxy.port, metrics: proxy.port } }));
  expect(told).toEqual([expect.objectContaining({ code: 'KubeProxyUnfit' })]);
});
