import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { readOrders, sayOtherDelivery } from '../../src/agent/orders.ts';
import { readReport } from '../../src/agent/report.ts';
import type { Vips, VipWish } from '../../src/agent/vips/face.ts';
import type { LocalConfig } from '../../src/config/config.ts';
import { at, text } from '../../src/kube/objects.ts';
import { MemoryApi } from '../kube/memory-api.ts';
import { pool } from '../providers/builders.ts';
import { type AgentWish, openProvider, putHeld, putNode, startTestAgent, type TestAgent, until } from './parts.ts';

const VIP = '192.168.1.241';

let api: MemoryApi;
let folder: string;
let wish: VipWish | undefined;
const toEnd: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  api = new MemoryApi();
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  wish = undefined;
  putNode(api, 'n1', '192.168.1.11');
});

afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
  await rm(folder, { recursive: true });
});

async function open(datapath: LocalConfig['datapath']) {
  const { provider } = await openProvider(api, { pools: [pool('lan', ['192.168.1.240/29'])], datapath });
  toEnd.push(() => provider.close(0));
  return provider;
}

async function start(more: AgentWish): Promise<TestAgent> {
  const startVips = (): Vips => ({
    apply: (next) => {
      wish = next;
    },
    holdings: () => new Map(),
    owned: () => new Set(),
    close: async () => {},
  });
  const started = await startTestAgent(api, 'n1', { node: 'n1', addresses: ['192.168.1.11'], startVips, ...more });
  toEnd.push(() => started.agent.stop(0));
  return started;
}

const serve = () => wish?.addresses.find(({ address }) => address === VIP)?.serve;

const problem = () => {
  const object = api.all('configmaps').find(({ metadata }) => metadata['name'] === 'nodeport-lb-agent-n1');
  return readReport(text(at(at(object, 'data'), 'report')))?.problem;
};

const served = (one: TestAgent) => [...one.forwarder().table.listeners.values()].map(({ address }) => address).join();

test('the controller tells its agents who delivers, and they hold addresses for it', async () => {
  await open('kube-proxy');
  const one = await start({ delivery: 'kube-proxy' });
  putHeld(api, { held: [VIP] });
  await until('it can serve', () => serve() === true);
  expect(served(one)).toBe(VIP);
  expect(problem()).toBeUndefined();
});

test('a node that is excluded from balancers does not hold what its kube-proxy would have to deliver', async () => {
  await open('kube-proxy');
  await start({ delivery: 'kube-proxy' });
  putHeld(api, { held: [VIP] });
  await until('it can serve', () => serve() === true);
  const [node] = api.all('nodes');
  const labels = { 'node.kubernetes.io/exclude-from-external-load-balancers': '' };
  putNode(api, 'n2', '192.168.1.12');
  api.set('nodes', { ...node!, metadata: { ...node!.metadata, labels } });
  await until('it cannot any more', () => serve() === false);
});

test('an agent that shall leave delivery to kube-proxy holds nothing while the controller does not publish it so', async () => {
  const provider = await open('kube-proxy');
  const one = await start({ delivery: 'kube-proxy' });
  putHeld(api, { held: [VIP] });
  await until('it can serve', () => serve() === true);
  await provider.close(0);
  await open('auto');
  await until('it leaves the address to others', () => serve() === false);
  await until('it says why', () => problem()?.includes('this agent has --local-datapath kube-proxy, and the controller has not'));
  expect(served(one)).toBe(VIP);
});

test('an agent with a forwarder goes on with its last rules while the controller leaves delivery to kube-proxy', async () => {
  const provider = await open('auto');
  const one = await start({});
  putHeld(api, { held: [VIP] });
  await until('it can serve', () => serve() === true);
  await provider.close(0);
  await open('kube-proxy');
  await until('it says why it does not follow', () => problem()?.includes('has not --local-datapath kube-proxy'));
  expect([served(one), serve()]).toEqual([VIP, true]);
});

test('rules of a run with another data path are not taken up', async () => {
  const provider = await open('auto');
  const first = await startTestAgent(api, 'n1', { node: 'n1', addresses: ['192.168.1.11', VIP], stateDir: folder });
  putHeld(api, { held: [VIP] });
  await until('it serves', () => served(first) === VIP);
  await first.agent.stop(0);
  await provider.close(0);
  const next = await start({ stateDir: folder, delivery: 'kube-proxy' });
  expect(served(next)).toBe('');
  const again = await startTestAgent(api, 'n1', { node: 'n1', addresses: [VIP], stateDir: folder });
  toEnd.push(() => again.agent.stop(0));
  expect(served(again)).toBe(VIP);
});

test('orders that name no deliverer, or one that nobody knows, are for forwarders', () => {
  const plain = { version: 1, holder: 'local/c', loadBalancerClass: 'c' };
  for (const delivery of [undefined, 'pigeons', 7]) {
    const orders = readOrders(JSON.stringify({ ...plain, delivery }));
    expect(typeof orders === 'string' ? orders : sayOtherDelivery(orders, undefined)).toBeUndefined();
  }
});
