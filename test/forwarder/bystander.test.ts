import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createConnection } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { startBystander } from '../../src/forwarder/bystander.ts';
import { type RuleListener, type RuleNode, RulesError } from '../../src/forwarder/rules.ts';
import { backends, Cleanup, Known, listener, nodes, rules, until } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function start(part: { nodes: readonly RuleNode[]; listeners: readonly RuleListener[] }) {
  const known = new Known();
  const forwarder = startBystander({ onReport: known.take });
  cleanup.forwarder(forwarder);
  forwarder.apply(rules(part));
  return { known, forwarder };
}

/** @returns the code of the error, or `open` */
async function knock(port: number): Promise<string> {
  const socket = createConnection({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return 'open';
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code ?? '';
  } finally {
    socket.destroy();
  }
}

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('nothing is opened, and every protocol is told as served, with who delivers it', async () => {
  const [target] = await backends(cleanup, ['127.0.0.1']);
  const port = await freePort();
  const protocols = ['TCP', 'UDP', 'SCTP'] as const;
  const listeners = protocols.map((protocol) => listener({ id: protocol, protocol, port, nodePort: target!.port }));
  const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners });
  await until('all are told', () => known.listeners.size === 3);
  for (const state of known.listeners.values())
    expect(state).toMatchObject({ state: 'listening', port, datapath: 'kube-proxy', why: 'as asked for' });
  expect(await knock(port)).toBe('ECONNREFUSED');
  expect((await forwarder.counters()).sum.connections).toBe(0);
});

test('targets are looked after, and forgotten with the last listener', async () => {
  const [target] = await backends(cleanup, ['127.0.0.1']);
  const { known, forwarder } = start({
    nodes: nodes('127.0.0.1', '127.0.0.2'),
    listeners: [listener({ port: 80, nodePort: target!.port })],
  });
  await known.health('node-1', 'healthy');
  await known.health(`node-2:${target!.port}`, 'unhealthy');
  forwarder.apply(rules({ generation: 2, nodes: nodes('127.0.0.1', '127.0.0.2') }));
  await until('the listener is gone', () => known.listeners.size === 0 && known.generation === 2);
  await until('and its target', () => !known.targets.has(`node-2:${target!.port}`));
});

test('under policy Local the node’s own answer decides, as it changes', async () => {
  const answer = { status: 503 };
  const healthz = createServer((_request, response) => response.writeHead(answer.status).end());
  healthz.listen(0, '127.0.0.1');
  await once(healthz, 'listening');
  cleanup.add(() => healthz.closeAllConnections());
  cleanup.add(() => void healthz.close());
  const [target] = await backends(cleanup, ['127.0.0.1']);
  const check = { kind: 'http', port: (healthz.address() as AddressInfo).port, path: '/healthz', intervalMs: 50 } as const;
  const rule = listener({ port: 80, nodePort: target!.port, localOnly: true, check });
  const { known } = start({ nodes: nodes('127.0.0.1'), listeners: [rule] });
  await known.health(`node-1:${target!.port}`, 'unhealthy');
  answer.status = 200;
  await until('it is ready', () => known.targets.get(`node-1:${target!.port}`)?.health !== 'unhealthy');
});

test('what kube-proxy does not do is refused by name, and the other rules are not affected', async () => {
  const { known } = start({
    nodes: nodes('127.0.0.1'),
    listeners: [
      listener({ id: 'proxy', port: 80, nodePort: 30_080, proxyProtocol: 'v2' }),
      listener({ id: 'garbage', address: 'nowhere', port: 81, nodePort: 30_081 }),
      listener({ id: 'web', port: 82, nodePort: 30_082 }),
    ],
  });
  await until('all are told', () => known.listeners.size === 3);
  expect(known.listeners.get('proxy')).toMatchObject({ state: 'failed', code: 'ProtocolUnsupported' });
  expect(known.listeners.get('garbage')).toMatchObject({ state: 'failed', code: 'SyncFailed' });
  expect(known.listeners.get('web')).toMatchObject({ state: 'listening' });
});

test('while the node delivers nothing every listener says so, those that come meanwhile too', async () => {
  const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ port: 80, nodePort: 30_080 })] });
  await until('it is served', () => known.listeners.get('web')?.state === 'listening');
  forwarder.judge({ code: 'KubeProxyUnfit', message: 'kube-proxy is away' });
  const both = [listener({ port: 80, nodePort: 30_080 }), listener({ id: 'late', port: 81, nodePort: 30_081 })];
  forwarder.apply(rules({ generation: 2, nodes: nodes('127.0.0.1'), listeners: both }));
  const fault = { state: 'failed', code: 'KubeProxyUnfit', message: 'kube-proxy is away' };
  await until('both say so', () => [...known.listeners.values()].filter(({ state }) => state === 'failed').length === 2);
  expect([...known.listeners.values()]).toEqual([fault, fault]);
  forwarder.judge(undefined);
  await until('both are served', () => [...known.listeners.values()].every(({ state }) => state === 'listening'));
});

test('a change of other rules than those in force is refused, and at the end nothing is left', async () => {
  const { known, forwarder } = start({ nodes: nodes('127.0.0.1'), listeners: [listener({ port: 80, nodePort: 30_080 })] });
  await until('it is told', () => known.listeners.size === 1);
  const change = { version: 1, base: 7, generation: 8, nodes: {}, nodeSets: {}, listeners: {} } as const;
  expect(() => forwarder.apply(change)).toThrow(RulesError);
  await forwarder.close();
  expect(known.listeners.size).toBe(0);
});
