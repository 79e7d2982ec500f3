import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Orders } from '../../src/agent/orders.ts';
import { readReport } from '../../src/agent/report.ts';
import { vipAgents, vipsOf } from '../../src/agent/vip-duty.ts';
import type { Vips, VipWish } from '../../src/agent/vips/face.ts';
import type { Holding } from '../../src/agent/vips/stage.ts';
import type { PoolConfig } from '../../src/config/config.ts';
import { at, text } from '../../src/kube/objects.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { MemoryApi } from '../kube/memory-api.ts';
import { balancer, nothingReserved } from '../providers/builders.ts';
import { pass, reportOf } from '../providers/drive.ts';
import { openProvider, putHeld, putNode, startTestAgent, type TestAgent, until } from './parts.ts';

const orders: Orders = {
  version: 1,
  holder: 'local/c',
  loadBalancerClass: 'c',
  shareAcrossNamespaces: false,
  nodeAddressTypes: [],
  namespaces: [],
  portFallback: false,
  pools: ['192.168.1.240-192.168.1.250'],
  agents: [
    { name: 'a', addresses: ['10.244.0.1', '172.17.0.1', '192.168.1.11', 'fd00::11'] },
    { name: 'b', addresses: ['10.244.1.1', '172.17.0.1', '192.168.1.12', 'fd00::12'] },
  ],
};

describe('the agents of an order', () => {
  test('are reached nearest to the pools, and never at what several machines have', () => {
    expect(vipAgents(orders)).toEqual([
      { name: 'a', addresses: ['192.168.1.11', '10.244.0.1'] },
      { name: 'b', addresses: ['192.168.1.12', '10.244.1.1'] },
    ]);
  });

  test('speak the family of the pools, if each of them can', () => {
    const six = { ...orders, pools: ['fd00::/120'] };
    expect(vipAgents(six).map(({ addresses }) => addresses)).toEqual([['fd00::11'], ['fd00::12']]);
    const [a] = orders.agents;
    const mixed = { ...six, agents: [a!, { name: 'c', addresses: ['192.168.1.13'] }] };
    expect(vipAgents(mixed).map(({ addresses }) => addresses[0])).toEqual(['fd00::11', '192.168.1.13']);
  });
});

describe('addresses to be held by turns', () => {
  const held = (...addresses: string[]) => ({ ...balancer(), address: { requested: [], held: addresses } });

  test('are those of Services that no machine has by itself', () => {
    const balancers = [held('192.168.1.241', '192.168.1.240'), held('192.168.1.12'), held('192.168.1.240', '192.168.1.249')];
    expect(vipsOf(orders, balancers, new Set(['192.168.1.249']))).toEqual(['192.168.1.240', '192.168.1.241']);
  });

  test('of no pool count only while they are published: anybody may have written them on a Service', () => {
    const [gateway, kept] = ['192.168.1.1', '192.168.2.2'];
    const standing = { ...balancer(), address: { requested: [], held: [kept], published: [kept] } };
    expect(vipsOf(orders, [held(gateway), standing], new Set())).toEqual([kept]);
  });

  test('are none without pools: those are the addresses of nodes', () => {
    expect(vipsOf({ ...orders, pools: [] }, [held('192.168.1.240')], new Set())).toEqual([]);
  });
});

const lan: PoolConfig = {
  name: 'lan',
  addresses: ['192.168.1.240/29'],
  namespaces: [],
  serviceSelector: {},
  priority: 0,
  autoAssign: true,
  sharePorts: false,
};

/** Does what it is told to, and nothing by itself. */
class FakeVips implements Vips {
  wish: VipWish | undefined;
  drained: boolean | undefined;
  readonly #holdings = new Map<string, Holding>();
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  apply(wish: VipWish): void {
    this.wish = wish;
  }

  holdings(): ReadonlyMap<string, Holding> {
    return this.#holdings;
  }

  owned(): ReadonlySet<string> {
    return new Set(['192.168.1.240']);
  }

  async close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.drained = drain;
  }

  hold(address: string, holding: Holding): void {
    this.#holdings.set(address, holding);
    this.#changed();
  }
}

describe('an agent with addresses that move', () => {
  let api: MemoryApi;
  let vips: FakeVips;
  let one: TestAgent;
  let provider: Provider;
  const toEnd: (() => Promise<unknown>)[] = [];

  beforeEach(async () => {
    api = new MemoryApi();
    putNode(api, 'n1', '192.168.1.11');
    ({ provider } = await openProvider(api, { pools: [lan] }));
    one = await startTestAgent(api, 'n1', {
      node: 'n1',
      addresses: ['192.168.1.11', '192.168.1.240'],
      startVips: ({ onChange }) => {
        vips = new FakeVips(onChange);
        return vips;
      },
    });
    toEnd.push(
      () => provider.close(0),
      () => one.agent.stop(0),
    );
    putHeld(api, { held: ['192.168.1.241'] });
  });

  afterEach(async () => {
    for (const end of toEnd.splice(0).reverse()) await end();
  });

  const report = () => {
    const object = api.all('configmaps').find(({ metadata }) => metadata['name'] === 'nodeport-lb-agent-n1');
    return readReport(text(at(at(object, 'data'), 'report')));
  };
  const serve = () => vips.wish?.addresses.find(({ address }) => address === '192.168.1.241')?.serve;

  test('makes ready for an address before it is here, and says that it can serve it', async () => {
    await until('it can serve', () => serve() === true);
    const [listener] = [...one.forwarder().table.listeners.values()];
    expect(listener?.address).toBe('192.168.1.241');
    expect(one.forwarder().table.exclusive).toEqual(['192.168.1.241']);
    const known = () => JSON.stringify(vips.wish?.agents) === JSON.stringify([{ name: 'n1', addresses: ['192.168.1.11'] }]);
    await until('it knows the agents, by their own addresses', known);
  });

  test('what only visits its machine is not its own', async () => {
    await until('it reports', () => report()?.addresses.join() === '192.168.1.11');
  });

  test('has the forwarder try again at once when the address comes, and reports who holds it', async () => {
    await until('it can serve', () => serve() === true);
    const before = one.forwarder().taken.length;
    vips.hold('192.168.1.241', { state: 'held' });
    await until('the forwarder is told', () => one.forwarder().taken.length > before);
    await until('it is reported', () => report()?.held?.join() === '192.168.1.241');
  });

  test('an address that cannot be held is reported as failed, though the forwarder is ready for it', async () => {
    await until('it can serve', () => serve() === true);
    vips.hold('192.168.1.241', { state: 'failed', code: 'AddressDuplicate', message: 'a stranger has it' });
    const exception = await until('it is reported', () =>
      Object.values(report()?.exceptions ?? {}).find(({ state }) => state === 'failed'),
    );
    expect(exception).toEqual({ state: 'failed', code: 'AddressDuplicate', message: 'a stranger has it' });
  });

  test('what is to become of an address is awaited: a Service is served, or fails, once that is known', async () => {
    const told: string[] = [];
    const note = () => {
      const [id] = Object.keys(report()?.holdings ?? {});
      const state = id && (report()?.exceptions[id]?.state ?? 'served');
      if (state && state !== told.at(-1)) told.push(state);
      return told;
    };
    await until('the forwarder listens, and it is told that nothing is known', () => note().length > 0 && serve());
    vips.hold('192.168.1.241', { state: 'pending' });
    const [id = ''] = one.forwarder().table.listeners.keys();
    one.forwarder().report({ listeners: { [id]: { state: 'failed', code: 'AddressUnavailable', message: 'not here' } } });
    vips.hold('192.168.1.241', { state: 'standby' });
    const { address = '', port = 0 } = one.forwarder().table.listeners.get(id) ?? {};
    await until('standby is told', () => note() && serve());
    one.forwarder().report({ listeners: { [id]: { state: 'listening', address, port } } });
    await until('it is served', () => note().at(-1) === 'served');
    expect(told).toEqual(['pending', 'served']);
  });

  test('an address that a stranger has is given to nobody who did not ask for it', async () => {
    const wish = balancer({ name: 'web', namespace: 'shop' });
    const wanted = provider.adjust(wish, nothingReserved);
    await pass(provider, wanted.key, wanted);
    expect(wanted.address.held).toEqual(['192.168.1.241']);
    await until('it can serve', () => serve() === true);
    vips.hold('192.168.1.241', { state: 'failed', code: 'AddressDuplicate', message: 'answered for by 02:00:00:00:00:09' });
    await until('it is told', async () => JSON.stringify(await reportOf(provider, wanted.key)).includes('02:00:00:00:00:09'));
    const asking = { ...wish, address: { ...wish.address, requested: ['192.168.1.241'] } };
    expect(provider.adjust(asking, nothingReserved).address.held).toEqual(['192.168.1.241']);
    expect(provider.adjust(wish, nothingReserved).address.held).toEqual(['192.168.1.242']);
  });

  test('cannot serve what its forwarder cannot open, but can what is only not here yet', async () => {
    await until('it can serve', () => serve() === true);
    const [id = ''] = one.forwarder().table.listeners.keys();
    one.forwarder().report({ listeners: { [id]: { state: 'failed', code: 'PortInUse', message: 'sshd has it' } } });
    await until('it cannot', () => serve() === false);
    one.forwarder().report({ listeners: { [id]: { state: 'failed', code: 'AddressUnavailable', message: 'not here' } } });
    await until('it can again', () => serve() === true);
  });

  test('can serve an address of which it has no data path for SCTP alone: others have none either', async () => {
    putHeld(api, { name: 'signals', port: 3868, protocol: 'SCTP', held: ['192.168.1.241'] });
    const ids = () => [...one.forwarder().table.listeners.keys()];
    await until('both are there', () => ids().length === 2);
    const states = ids().map((id) => [id, { state: 'failed', code: 'NetAdminMissing', message: 'no rights' }] as const);
    one.forwarder().report({ listeners: Object.fromEntries(states) });
    await until('it cannot', () => serve() === false);
    const tcp = states.filter(([id]) => id.includes('/TCP')).map(([id]) => [id, { state: 'listening', address: '192.168.1.241', port: 80 }] as const); // biome-ignore format: a row
    one.forwarder().report({ listeners: Object.fromEntries(tcp) });
    await until('it can', () => serve() === true);
  });

  test('under policy Local can serve an address only while its own node has an endpoint', async () => {
    const spec = { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 };
    const putSlice = (...nodes: readonly string[]) =>
      api.set('endpointslices', {
        metadata: { namespace: 'shop', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
        endpoints: nodes.map((nodeName) => ({ nodeName })),
        ports: [{ port: 8080 }],
      });
    putNode(api, 'n2', '192.168.1.12');
    putSlice('n2');
    putHeld(api, { held: ['192.168.1.241'], spec });
    await until('it cannot serve', () => serve() === false);
    putSlice('n1', 'n2');
    await until('it can serve', () => serve() === true);
    putSlice();
    await until('it cannot serve again', () => serve() === false);
  });

  test('hands over before it stops', async () => {
    await one.agent.stop(0);
    expect(vips.drained).toBe(true);
  });
});
