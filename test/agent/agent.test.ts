import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type AgentReport, readReport } from '../../src/agent/report.ts';
import { KubeError } from '../../src/kube/api.ts';
import { at, text } from '../../src/kube/objects.ts';
import type { Report } from '../../src/model.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { keepLog, MemoryApi } from '../kube/memory-api.ts';
import { balancer, node, nothingReserved, pool, refusalOf } from '../providers/builders.ts';
import { pass, reportOf, reportWhen } from '../providers/drive.ts';
import { type AgentWish, NAMESPACE, openProvider, putHeld, putNode, startTestAgent, type TestAgent, until } from './parts.ts';

let api: MemoryApi;
let folder: string;
const toEnd: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  api = new MemoryApi();
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  putNode(api, 'n1', '10.0.0.1');
  putNode(api, 'n2', '10.0.0.2', '192.0.2.2');
});

afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
  await rm(folder, { recursive: true });
});

async function start(name: string, wish: AgentWish = {}): Promise<TestAgent> {
  const started = await startTestAgent(api, name, { node: name, addresses: [`10.0.0.${name.slice(1)}`], ...wish });
  toEnd.push(() => started.agent.stop(0));
  return started;
}

async function open(...options: Parameters<typeof openProvider> extends [MemoryApi, ...infer R] ? R : never) {
  const opened = await openProvider(api, ...options);
  toEnd.push(() => opened.provider.close(0));
  return opened;
}

function reportOfAgent(name: string): AgentReport | undefined {
  const object = api.all('configmaps').find((one) => one.metadata['name'] === `nodeport-lb-agent-${name}`);
  return readReport(text(at(at(object, 'data'), 'report')));
}

function served({ forwarder }: TestAgent): readonly string[] {
  return [...(forwarder()?.table.listeners.values() ?? [])].map(({ address, port }) => `${address}:${port}`).sort();
}

describe('an agent', () => {
  test('serves its own node’s address of the Services that are held, and reports them', async () => {
    await open();
    const one = await start('n1');
    const uid = putHeld(api, { held: ['10.0.0.1', '192.0.2.2'] });
    await until('n1 serves', () => served(one).join() === '10.0.0.1:80');
    const report = await until('n1 reports it', () => {
      const found = reportOfAgent('n1');
      return found && Object.keys(found.exceptions).length === 0 && Object.keys(found.holdings).length > 0 && found;
    });
    expect(report).toMatchObject({
      node: 'n1',
      publish: ['10.0.0.1'],
      paths: [{ datapath: 'userspace', why: expect.any(String) }],
      holdings: { 'shop/web 80/TCP 10.0.0.1': uid },
      released: [],
    });
  });

  test('of a node whose external address is a NAT’s listens at the internal one, under the external one’s name', async () => {
    await open();
    const two = await start('n2');
    putHeld(api, { held: ['10.0.0.1', '192.0.2.2'] });
    await until('n2 serves', () => served(two).join() === '10.0.0.2:80');
    await until('n2 reports', () => reportOfAgent('n2')?.holdings['shop/web 80/TCP 192.0.2.2']);
    expect(reportOfAgent('n2')?.publish).toEqual(['192.0.2.2']);
  });

  test.each([
    { why: 'another cluster’s Services', service: { holder: 'local/other' } },
    { why: 'another provider’s Services', service: { holder: 'aws/c' } },
    { why: 'ports that its node needs', service: { port: 10_250 } },
    { why: 'addresses that are elsewhere', service: { held: ['10.0.0.9'] } },
  ])('leaves alone: $why', async ({ service }) => {
    await open();
    const one = await start('n1');
    putHeld(api, { held: ['10.0.0.1'], ...service });
    putHeld(api, { name: 'other', port: 81, held: ['10.0.0.1'] });
    await until('n1 serves the other', () => served(one).includes('10.0.0.1:81'));
    expect(served(one)).toEqual(['10.0.0.1:81']);
  });

  test('on an edge machine serves the addresses of pools that the machine has', async () => {
    await open({
      pools: [
        {
          name: 'p',
          addresses: ['198.51.100.0/28'],
          namespaces: [],
          serviceSelector: {},
          priority: 0,
          autoAssign: true,
          sharePorts: false,
        },
      ],
    });
    const edge = await startTestAgent(api, 'edge', { addresses: ['198.51.100.3'] });
    toEnd.push(() => edge.agent.stop(0));
    putHeld(api, { held: ['198.51.100.3'] });
    putHeld(api, { name: 'far', held: ['198.51.100.4'] });
    await until('the edge serves', () => served(edge).join() === '198.51.100.3:80');
  });

  test('an address of its machine that the kernel has found with another one is told as such, and is well when that has gone', async () => {
    await open({ pools: [pool('lan', ['2001:db8::/124'])] });
    const seen = new Map([['2001:db8::3', '2001:db8::3 is another machine’s']]);
    const edge = await startTestAgent(api, 'edge', { addresses: ['2001:db8::3'], readDuplicates: () => seen });
    toEnd.push(() => edge.agent.stop(0));
    putHeld(api, { held: ['2001:db8::3'] });
    const exceptions = () => Object.values(reportOfAgent('edge')?.exceptions ?? {});
    await until('it is told', () => exceptions()[0]?.state === 'failed');
    expect(exceptions()).toEqual([{ state: 'failed', code: 'AddressDuplicate', message: seen.get('2001:db8::3') }]);
    seen.clear();
    await until(
      'it is well again',
      () => Object.keys(reportOfAgent('edge')?.holdings ?? {}).length === 1 && exceptions().length === 0,
    );
  });

  test('tells that it has let go of a Service that leaves, also of one that it never had', async () => {
    await open();
    const one = await start('n1');
    await start('n2');
    putHeld(api, { held: ['10.0.0.1'] });
    await until('n1 serves', () => served(one).length === 1);
    const uid = putHeld(api, { held: ['10.0.0.1'], leaving: true });
    await until('both have let go', () => ['n1', 'n2'].every((name) => reportOfAgent(name)?.released.includes(uid)));
    expect(served(one)).toEqual([]);
    api.delete('services', 'shop', 'web');
    putHeld(api, { name: 'next', held: ['10.0.0.1'] });
    await until('it is forgotten', () => reportOfAgent('n1')?.released.length === 0);
  });

  test('tells it also when its forwarder takes its time to close', async () => {
    await open();
    const one = await start('n1');
    putHeld(api, { held: ['10.0.0.1'] });
    await until('n1 serves', () => served(one).length === 1);
    one.forwarder().silent = true;
    const uid = putHeld(api, { held: ['10.0.0.1'], leaving: true });
    await until('the forwarder was told', () => served(one).length === 0);
    const other = putHeld(api, { name: 'other', held: ['10.0.0.9'], leaving: true });
    await until('another report is written', () => reportOfAgent('n1')?.released.includes(other));
    expect(reportOfAgent('n1')?.released).not.toContain(uid);
    one.forwarder().report({});
    await until('it has let go', () => reportOfAgent('n1')?.released.includes(uid));
  });

  test('writes nothing while nothing changes for the controller', async () => {
    await open();
    await start('n1');
    putHeld(api, { held: ['10.0.0.1'] });
    const version = () =>
      api.all('configmaps').find((one) => one.metadata['name'] === 'nodeport-lb-agent-n1')?.metadata['resourceVersion'];
    await until(
      'n1 reports',
      () =>
        reportOfAgent('n1')?.holdings['shop/web 80/TCP 10.0.0.1'] && Object.keys(reportOfAgent('n1')!.exceptions).length === 0,
    );
    const before = version();
    putNode(api, 'n3', '10.0.0.3');
    putHeld(api, { name: 'far', held: ['10.0.0.9'] });
    putHeld(api, { name: 'told', port: 99, held: ['10.0.0.9'], leaving: true }); // and this is news
    await until('the news is written', () => reportOfAgent('n1')?.released.length === 1);
    expect(Number(version()) - Number(before)).toBeGreaterThan(0);
    expect(reportOfAgent('n1')?.holdings).toEqual({ 'shop/web 80/TCP 10.0.0.1': expect.any(String) });
  });

  test('keeps its last rules under orders of another version, says so, and follows again when it knows them', async () => {
    const { provider } = await open();
    const log = keepLog();
    const one = await start('n1', { log });
    putHeld(api, { held: ['10.0.0.1'] });
    await until('n1 serves', () => served(one).length === 1);
    await provider.close(0);
    const orders = api.all('configmaps').find((object) => object.metadata['name'] === 'nodeport-lb-orders')!;
    const content = text(at(at(orders, 'data'), 'orders'));
    const put = (version: number) =>
      api.set('configmaps', { ...orders, data: { orders: JSON.stringify({ ...JSON.parse(content), version }) } });
    put(99);
    await until('it says so', () => reportOfAgent('n1')?.problem?.includes('version 99'));
    putHeld(api, { name: 'new', port: 81, held: ['10.0.0.1'] });
    expect(served(one)).toEqual(['10.0.0.1:80']);
    expect(log.lines.join('\n')).toMatch(/version 99.*keeps its last rules/);
    put(1);
    await until('it follows again', () => served(one).length === 2);
    await until('and says so', () => reportOfAgent('n1')?.problem === undefined);
  });

  test('started without the API server serves what it served last, and takes up the changes later', async () => {
    const { provider } = await open();
    const first = await startTestAgent(api, 'n1', { node: 'n1', addresses: ['10.0.0.1'], stateDir: folder });
    putHeld(api, { held: ['10.0.0.1'] });
    await until('n1 serves', () => served(first).length === 1);
    await first.agent.stop(0);
    await provider.close(0);
    api.refuse = () => new KubeError(0, 'Unreachable', 'the API server is away');
    const again = await start('n1', { stateDir: folder });
    expect(served(again)).toEqual(['10.0.0.1:80']);
    expect(again.agent.state()).toMatchObject({ hasRules: true, isCurrent: false, listeners: 1 });
    api.refuse = () => undefined;
    api.delete('services', 'shop', 'web');
    putHeld(api, { name: 'other', port: 81, held: ['10.0.0.1'] });
    await until('it follows the cluster', () => served(again).join() === '10.0.0.1:81');
  });

  test('what it takes up is told once it is served, so that a Service stays as it is', async () => {
    await open();
    putHeld(api, { held: ['10.0.0.1'] });
    const first = await start('n1', { stateDir: folder });
    const isServed = () => {
      const { holdings = {}, exceptions = {} } = reportOfAgent('n1') ?? {};
      return Object.keys(holdings).length === 1 && Object.keys(exceptions).length === 0;
    };
    await until('n1 reports', isServed);
    await first.agent.stop(0);
    const again = await start('n1', { stateDir: folder, isSilent: true });
    putHeld(api, { name: 'other', port: 81, held: ['10.0.0.1'] });
    await until('n1 serves the other', () => served(again).length === 2);
    expect(isServed()).toBe(true);
    again.forwarder().silent = false;
    again.forwarder().answer();
    await until('n1 tells of both', () => Object.keys(reportOfAgent('n1')?.holdings ?? {}).length === 2 && again.agent);
  });

  test.each([
    { datapath: 'nftables', rulesMs: 15_000, isHeld: true },
    { datapath: 'userspace', rulesMs: 0, isHeld: false },
  ] as const)('stopped, the Lease goes with the last of its rules: $datapath', async ({ datapath, rulesMs, isHeld }) => {
    await open();
    const uid = putHeld(api, { held: ['10.0.0.1'] });
    const one = await start('n1');
    await until('n1 reports', () => reportOfAgent('n1')?.holdings['shop/web 80/TCP 10.0.0.1'] === uid);
    const state = { state: 'listening', address: '10.0.0.1', port: 80, datapath } as const;
    one.forwarder().report({ listeners: { 'shop/web 80/TCP 10.0.0.1': state } });
    await until('the Lease is held', () => one.agent.state().isPresent);
    await one.agent.stop(0);
    expect(one.forwarder().parting).toEqual({ rulesMs, servesOn: true });
    const [lease] = api.all('leases').filter((found) => found.metadata['name'] === 'nodeport-lb-agent-n1');
    expect(text(at(at(lease, 'spec'), 'holderIdentity')) !== '').toBe(isHeld);
  });

  test('does not take up a damaged file, and says so', async () => {
    const log = keepLog();
    await writeFile(join(folder, 'agent-rules.json'), '{"version":1,"balancers":7}');
    const one = await start('n1', { stateDir: folder, log });
    expect(served(one)).toEqual([]);
    expect(log.lines.join('\n')).toContain('not taken up');
  });

  test('of a name that another machine has waits for that one’s end', async () => {
    await open();
    await start('n1');
    await until('the first is there', () => api.all('leases').length === 1);
    const log = keepLog();
    const other = await startTestAgent(api, 'n1', { identity: 'another-machine', addresses: ['10.0.0.7'], log });
    toEnd.push(() => other.agent.stop(0));
    await until('it says so', () => log.lines.some((line) => line.includes('another agent of this name')));
    expect(other.agent.state().isPresent).toBe(false);
  });
});

describe('the controller with agents', () => {
  const web = (more: object = {}) =>
    balancer({ namespace: 'shop', nodes: [node('n1', '10.0.0.1'), node('n2', '10.0.0.2')], ...more });

  function heldBy(provider: Provider): readonly string[] {
    const known = refusalOf(() => provider.adjust(web(), nothingReserved)).code === 'none';
    return known ? provider.adjust(web(), nothingReserved).address.held : [];
  }

  async function published(nodes: readonly string[]) {
    const opened = await open();
    const agents = new Map<string, TestAgent>();
    for (const name of nodes) agents.set(name, await start(name));
    await until('the agents are known', () => heldBy(opened.provider).length === nodes.length);
    return { ...opened, agents };
  }

  test('refuses while no agent lives on any node', async () => {
    const { provider } = await open();
    expect(refusalOf(() => provider.adjust(web(), nothingReserved))).toMatchObject({
      code: 'NoForwarder',
      message: expect.stringContaining('n1, n2'),
    });
  });

  test('gives a Service the addresses of the nodes with agents, and publishes each that serves', async () => {
    const { provider } = await published(['n1', 'n2']);
    const wanted = provider.adjust(web(), nothingReserved);
    expect(wanted.address).toMatchObject({ held: ['10.0.0.1', '192.0.2.2'], ofNodes: true });
    await pass(provider, wanted.key, wanted);
    const uid = putHeld(api, { held: wanted.address.held });
    const report = await reportWhen(provider, wanted.key, ({ addresses }) => addresses.length === 2);
    expect(report).toMatchObject({ settled: true, addresses: [{ ip: '10.0.0.1', ipMode: 'Proxy' }, { ip: '192.0.2.2' }] });
    expect(uid).not.toBe('');
  });

  test('tells a Service of a port that has become another one’s NodePort since, and nobody loses an address by it', async () => {
    const { provider } = await published(['n1', 'n2']);
    const around = (...users: readonly string[]) => ({ ...nothingReserved, nodePortUsers: () => users });
    const wanted = provider.adjust(web(), around('shop/web'));
    await pass(provider, wanted.key, wanted);
    putHeld(api, { held: wanted.address.held });
    await reportWhen(provider, wanted.key, ({ addresses }) => addresses.length === 2);
    expect(provider.adjust(web(), around('shop/web', 'shop/late')).address.held).toEqual(wanted.address.held);
    expect((await reportOf(provider, wanted.key)).notes).toEqual([
      { code: 'PortInUse', message: expect.stringMatching(/^Port 80\/TCP .* nodePort of shop\/late; one of the two/) },
    ]);
    provider.adjust(web(), around('shop/web'));
    expect((await reportOf(provider, wanted.key)).notes).toBeUndefined();
  });

  test('leaves out a node whose agent cannot listen, and says which and why', async () => {
    const { provider, agents } = await published(['n1', 'n2']);
    const wanted = provider.adjust(web(), nothingReserved);
    await pass(provider, wanted.key, wanted);
    putHeld(api, { held: wanted.address.held });
    await reportWhen(provider, wanted.key, ({ addresses }) => addresses.length === 2);
    const taken = { state: 'failed', code: 'PortInUse', message: '10.0.0.1 port 80/TCP is held by nginx (process 7)' } as const;
    agents
      .get('n1')!
      .forwarder()
      .report({ listeners: { 'shop/web 80/TCP 10.0.0.1': taken } });
    const report = await reportWhen(provider, wanted.key, ({ addresses }) => addresses.length === 1);
    expect(report.notes).toEqual([{ code: 'PortInUse', message: expect.stringMatching(/10.0.0.1: agent n1: .*nginx/) }]);
    expect(report.listeners[0]?.error).toBeUndefined();
  });

  test('under policy Local publishes no node that has no endpoint, whatever its agent says of it; a new one before it was looked at', async () => {
    const { provider, agents } = await published(['n1', 'n2']);
    const at = (...endpointNodes: readonly string[]) =>
      provider.adjust(web({ ports: [{ port: 80, nodePort: 30_080, localOnly: true, endpointNodes }] }), nothingReserved);
    const only = (ip: string) => (report: Report) => report.addresses.map((one) => one.ip).join() === ip;
    const wanted = at('n1');
    await pass(provider, wanted.key, wanted);
    putHeld(api, { held: wanted.address.held });
    const report = await reportWhen(provider, wanted.key, only('10.0.0.1'));
    expect(report.targets.map(({ node }) => node)).toEqual(['n1']);
    const unsure = { health: 'unknown', reason: '10.0.0.2:32000/healthz answers 503', asOf: 1 } as const;
    agents
      .get('n2')!
      .forwarder()
      .report({ targets: { 'n2:30080': unsure } });
    await until('n2 reports', () => reportOfAgent('n2')?.targets['n2:30080']);
    await pass(provider, wanted.key, at('n2'));
    await reportWhen(provider, wanted.key, only('192.0.2.2'));
    agents
      .get('n2')!
      .forwarder()
      .report({ targets: { 'n2:30080': { ...unsure, health: 'unhealthy' } } });
    await pass(provider, wanted.key, at('n1', 'n2'));
    await reportWhen(provider, wanted.key, only('10.0.0.1'));
  });

  test('under policy Local publishes the nodes that find an endpoint of their own ready', async () => {
    const { provider, agents } = await published(['n1', 'n2']);
    const ports = [{ port: 80, nodePort: 30_080, localOnly: true }];
    const wanted = provider.adjust(web({ ports }), nothingReserved);
    await pass(provider, wanted.key, wanted);
    putHeld(api, { held: wanted.address.held });
    await reportWhen(provider, wanted.key, ({ addresses }) => addresses.length === 2);
    for (const name of ['n1', 'n2'])
      agents
        .get(name)!
        .forwarder()
        .report({ targets: { 'n2:30080': { health: 'unhealthy', reason: '503', asOf: 1 } } });
    const report = await reportWhen(provider, wanted.key, ({ addresses }) => addresses.length === 1);
    expect(report.addresses).toEqual([{ ip: '10.0.0.1', ipMode: 'Proxy' }]);
    expect(report.targets.find(({ node }) => node === 'n2')?.reason).toMatch(/503, seen by agent/);
  });

  test('frees nothing before every live agent has let go of a Service that leaves', async () => {
    let uid = '';
    const surroundings = { ...nothingReserved, leaves: (one: string) => one === uid };
    const opened = await openProvider(api, {}, { surroundings });
    toEnd.push(() => opened.provider.close(0));
    const { provider, changed } = opened;
    const one = await start('n1');
    await until('the agent is known', () => refusalOf(() => provider.adjust(web(), nothingReserved)).code === 'none');
    uid = putHeld(api, { held: ['10.0.0.1'] });
    const wish = web();
    const wanted = provider.adjust(
      { ...wish, listeners: wish.listeners.map((l) => ({ ...l, service: { ...l.service, uid } })) },
      nothingReserved,
    );
    await pass(provider, wanted.key, wanted);
    await reportWhen(provider, wanted.key, ({ addresses }) => addresses.length === 1);
    await pass(provider, wanted.key, undefined);
    const report = await reportOf(provider, wanted.key);
    expect(report).toMatchObject({ gone: false, listeners: [{ uid, port: 80 }] });
    const next = web({ name: 'next' });
    expect(refusalOf(() => provider.adjust(next, nothingReserved)).code).toBe('AddressInUse');
    changed.length = 0;
    putHeld(api, { held: ['10.0.0.1'], leaving: true });
    await reportWhen(provider, wanted.key, ({ gone }) => gone);
    expect(changed).toContain('shop/next');
    expect(provider.adjust(next, nothingReserved).address.held).toEqual(['10.0.0.1']);
    expect(served(one)).toEqual([]);
  });

  test('after a restart finds what agents still have open, and gives it to nobody', async () => {
    const { provider: first } = await open();
    await start('n1');
    putHeld(api, { held: ['10.0.0.1'] });
    await until('n1 holds it', () => reportOfAgent('n1')?.holdings['shop/web 80/TCP 10.0.0.1']);
    await first.close(0);
    const { provider } = await open();
    expect(await provider.keys()).toContain('shop/web');
    expect(await reportOf(provider, 'shop/web')).toMatchObject({ gone: false });
    expect(refusalOf(() => provider.adjust(web({ name: 'next' }), nothingReserved)).code).toBe('AddressInUse');
  });

  test('counts an agent as dead that has let go of its Lease, and keeps the addresses when none is left', async () => {
    const { provider, agents } = await published(['n1', 'n2']);
    const wanted = provider.adjust(web(), nothingReserved);
    await agents.get('n1')!.agent.stop(0);
    await until('n1 is out', () => heldBy(provider).length === 1);
    await agents.get('n2')!.agent.stop(0);
    await until(
      'nobody is left',
      () => reportOfAgent('n2') && api.all('leases').every((lease) => at(at(lease, 'spec'), 'holderIdentity') === ''),
    );
    expect(provider.adjust(web(), nothingReserved).address.held.length).toBeGreaterThan(0);
    expect(wanted.address.held).toHaveLength(2);
  });

  test('tells agents how Services are read, and who the agents are; one that does not lead tells nothing', async () => {
    const idle = await openProvider(api, {}, { mayWrite: () => false });
    toEnd.push(() => idle.provider.close(0));
    await start('n1');
    await until('the agent is there', () => api.all('leases').length === 1);
    const orders = () => api.all('configmaps').find((one) => one.metadata['name'] === 'nodeport-lb-orders');
    expect(orders()).toBeUndefined();
    await open();
    const content = await until(
      'there are orders',
      () => text(at(at(orders(), 'data'), 'orders')).includes('"n1"') && text(at(at(orders(), 'data'), 'orders')),
    );
    expect(JSON.parse(content)).toMatchObject({
      version: 1,
      holder: 'local/c',
      pools: [],
      agents: [{ name: 'n1', node: 'n1', addresses: ['10.0.0.1'] }],
    });
    expect(orders()?.metadata['namespace']).toBe(NAMESPACE);
  });

  test('pools that change while it runs: agents are told, a Service keeps its address and is told, and one that was refused gets one', async () => {
    const { provider, changed } = await open({ pools: [pool('old', ['198.51.100.3'])] });
    const edge = await startTestAgent(api, 'edge', { addresses: ['198.51.100.3', '198.51.100.9'] });
    toEnd.push(() => edge.agent.stop(0));
    const wish = balancer({ name: 'web', namespace: 'shop' });
    const web = provider.adjust(wish, nothingReserved);
    await pass(provider, web.key, web);
    putHeld(api, { held: web.address.held });
    const later = balancer({ name: 'later', namespace: 'shop' });
    expect(refusalOf(() => provider.adjust(later, nothingReserved)).code).toBe('PoolExhausted');
    expect(provider.reload?.({ forwarder: 'agents', pools: [pool('new', ['198.51.100.9'])] })).toEqual([]);
    expect(changed).toEqual(expect.arrayContaining([web.key, later.key]));
    expect(provider.adjust(later, nothingReserved).address.held).toEqual(['198.51.100.9']);
    putHeld(api, { name: 'later', port: 81, held: ['198.51.100.9'] });
    const kept = { ...wish, address: { requested: [], held: ['198.51.100.3'], published: ['198.51.100.3'] } };
    expect(provider.adjust(kept, nothingReserved).address.held).toEqual(['198.51.100.3']);
    expect((await reportOf(provider, web.key)).notes).toMatchObject([{ code: 'AddressNotInPool' }]);
    await until('the agent serves the new address', () => served(edge).includes('198.51.100.9:81'));
  });
});
