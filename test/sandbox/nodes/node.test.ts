import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ask } from '../../../src/sandbox/demo/ask.ts';
import { Backends } from '../../../src/sandbox/nodes/backends.ts';
import type { NodeEntrances } from '../../../src/sandbox/nodes/entrances.ts';
import { NodeNetwork } from '../../../src/sandbox/nodes/node.ts';

let backends: Backends;
let node: NodeNetwork;
let changes: string[];

beforeEach(() => {
  backends = new Backends((address) => address.startsWith('10.244.'));
  changes = [];
  node = new NodeNetwork({
    name: 'worker-1',
    address: '127.0.0.1',
    dial: ({ address, port }) => backends.connect(address, port, 'worker-1'),
    portMapChanged: () => changes.push(node.portMap),
  });
});

afterEach(async () => {
  await node.stop();
  await backends.stop();
});

async function freePort(): Promise<number> {
  const server = await listen(0);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen({ host: '127.0.0.1', port }, () => resolve(server));
  });
}

function entrance(nodePort: number, ...addresses: string[]): NodeEntrances {
  return {
    entrances: [{ nodePort, endpoints: addresses.map((address) => ({ address, port: 8080, node: 'worker-2' })) }],
    health: [],
  };
}

describe('a NodePort', () => {
  test('sends to each endpoint in turn, and the pod knows which node was entered', async () => {
    await backends.open('10.244.1.4', { name: 'kubia-a', node: 'worker-2', ports: [8080] });
    await backends.open('10.244.2.4', { name: 'kubia-b', node: 'worker-3', ports: [8080] });
    const port = await freePort();
    await node.serve(entrance(port, '10.244.1.4', '10.244.2.4'));
    const answers = [await ask('127.0.0.1', port), await ask('127.0.0.1', port)];
    expect(answers.map((a) => a.body)).toEqual(["You've hit kubia-a\n", "You've hit kubia-b\n"]);
    expect(answers[0]!.landing).toEqual({
      pod: 'kubia-a',
      podNode: 'worker-2',
      address: '10.244.1.4',
      port: 8080,
      entered: 'worker-1',
    });
  });

  test('follows its endpoints while it stays open', async () => {
    await backends.open('10.244.1.4', { name: 'old', node: 'worker-2', ports: [] });
    await backends.open('10.244.1.5', { name: 'new', node: 'worker-2', ports: [] });
    const port = await freePort();
    await node.serve(entrance(port, '10.244.1.4'));
    await node.serve(entrance(port, '10.244.1.5'));
    expect((await ask('127.0.0.1', port)).body).toBe("You've hit new\n");
  });

  test('is refused when its last endpoint has gone', async () => {
    const port = await freePort();
    await node.serve(entrance(port, '1.2.3.4'));
    await ask('127.0.0.1', port);
    await node.serve({ entrances: [], health: [] });
    await expect(ask('127.0.0.1', port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('an address outside the cluster is answered for by a machine of that name', async () => {
    const port = await freePort();
    await node.serve(entrance(port, '1.2.3.4'));
    expect((await ask('127.0.0.1', port)).landing).toMatchObject({ pod: '1.2.3.4', podNode: '', port: 8080 });
  });

  test.each([
    { why: 'a pod that is not there', open: undefined },
    { why: 'a port that the pod does not serve', open: [9090] },
  ])('resets a connection to $why', async ({ open }) => {
    if (open) await backends.open('10.244.1.4', { name: 'kubia-a', node: 'worker-2', ports: open });
    const port = await freePort();
    await node.serve(entrance(port, '10.244.1.4'));
    await expect(ask('127.0.0.1', port)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  test('that is taken is served on a free port, and the map says where', async () => {
    const other = await listen(0);
    const { port } = other.address() as AddressInfo;
    await node.serve(entrance(port, '1.2.3.4'));
    const [, moved] = /(\d+)$/.exec(node.portMap.split(',').find((entry) => entry.startsWith(`${port}=127.0.0.1:`)) ?? '') ?? [];
    expect(changes).toEqual([node.portMap]);
    expect((await ask('127.0.0.1', Number(moved))).status).toBe(200);
    await new Promise((resolve) => other.close(resolve));
  });

  test('passes on the end of one direction while the other goes on', async () => {
    await backends.open('10.244.1.4', { name: 'kubia-a', node: 'worker-2', ports: [8080] });
    const port = await freePort();
    await node.serve(entrance(port, '10.244.1.4'));
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
      let all = '';
      socket.on('data', (chunk) => {
        all += chunk;
      });
      socket.on('end', () => resolve(all));
      socket.on('error', reject);
      socket.end('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    });
    expect(answer).toContain("You've hit kubia-a");
  });
});

describe('a node', () => {
  test('that refuses takes no connection, ends those it had, and serves again when it is back', async () => {
    const port = await freePort();
    await node.serve(entrance(port, '1.2.3.4'));
    const held = connect({ host: '127.0.0.1', port });
    await new Promise((resolve) => held.once('connect', resolve));
    const ended = new Promise((resolve) => held.once('close', resolve));
    await node.become('refusing');
    await ended;
    await expect(ask('127.0.0.1', port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await node.become('up');
    expect((await ask('127.0.0.1', port)).status).toBe(200);
  });

  test('that is silent takes connections and never answers', async () => {
    const port = await freePort();
    await node.serve(entrance(port, '1.2.3.4'));
    await node.become('silent');
    const socket = connect({ host: '127.0.0.1', port });
    await new Promise((resolve) => socket.once('connect', resolve));
    const heard: unknown[] = [];
    socket.on('data', (chunk) => heard.push(chunk));
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await node.become('up');
    await ask('127.0.0.1', port);
    expect(heard).toEqual([]);
    socket.destroy();
  });

  test.each([
    { localEndpoints: 2, status: 200 },
    { localEndpoints: 0, status: 503 },
  ])('with $localEndpoints endpoints of its own says $status on the health check port', async ({ localEndpoints, status }) => {
    const port = await freePort();
    await node.serve({ entrances: [], health: [{ port, namespace: 'default', name: 'kubia', localEndpoints }] });
    const answer = await ask('127.0.0.1', port, '/healthz');
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ service: { namespace: 'default', name: 'kubia' }, localEndpoints });
  });
});
