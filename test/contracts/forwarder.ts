import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RULES_VERSION, type RuleListener, type Rules } from '../../src/forwarder/rules.ts';
import { listener, until } from '../forwarder/builders.ts';
import type { Place } from './forwarder/hand.ts';
import { clientsStay } from './forwarder/stay.ts';
import type { Addresses, World } from './forwarder/world.ts';
import type { Skip } from './provider.ts';

/** Generous: a busy machine, and checks that take their time to be sure. */
const PATIENCE_MS = 60_000;
const PORT = 18_080;

type Datapath = 'userspace' | 'nftables';

/** What every data path promises. `make` gives a fresh world to each test. */
export function forwarderContract(
  datapath: Datapath,
  make: () => Promise<World>,
  options: { readonly skip?: readonly Skip[] } = {},
): void {
  describe(`the forwarder contract: ${datapath}`, () => {
    let stage: Stage;
    beforeEach(async () => {
      stage = await Stage.open(await make(), datapath);
    });
    afterEach(() => stage?.end());

    const skips = options.skip ?? [];
    for (const [title, run] of Object.entries(promises)) {
      const skip = skips.find(({ tests }) => tests.includes(title));
      if (skip) test(`${title} (not claimed: ${skip.reason})`, () => expect(skip.reason).not.toBe(''));
      else test(title, () => run(stage), 120_000);
    }

    test('every declared gap is a test of the contract', () => {
      expect(Object.keys(promises)).toEqual(expect.arrayContaining(skips.flatMap(({ tests }) => tests)));
    });
  });
}

/** A forwarder at work with three nodes behind it. */
class Stage {
  readonly world: World;
  readonly at: Addresses;
  nodePort = 0;
  #generation = 0;

  private constructor(world: World) {
    this.world = world;
    this.at = world.ipv4;
  }

  static async open(world: World, datapath: Datapath): Promise<Stage> {
    const stage = new Stage(world);
    const families = [world.ipv4, ...(world.ipv6 ? [world.ipv6] : [])];
    stage.nodePort = await world.nodes.do('serve', { addresses: families.flatMap(({ nodes }) => nodes), port: 0 });
    await world.balancer.do('open', { datapath, table: world.table });
    return stage;
  }

  async end(): Promise<void> {
    await this.world.end();
  }

  web(part: Partial<RuleListener> = {}): RuleListener {
    const check = { kind: 'nodePort', intervalMs: 300, timeoutMs: 500 } as const;
    return listener({ address: this.at.listener, port: PORT, nodePort: this.nodePort, check, ...part });
  }

  dns(part: Partial<RuleListener> = {}): RuleListener {
    return this.web({ id: 'dns', protocol: 'UDP', idleMs: 60_000, ...part });
  }

  /** Waits until these rules are in force. */
  async apply(listeners: readonly RuleListener[], nodes = this.at.nodes, more: Partial<Rules> = {}): Promise<void> {
    const generation = ++this.#generation;
    await this.world.balancer.do('apply', {
      version: RULES_VERSION,
      generation,
      nodes: nodes.map((address) => ({ id: address, addresses: [address] })),
      nodeSets: { all: nodes },
      listeners,
      ...more,
    });
    const { known } = this.world.balancer;
    await until(`generation ${generation}`, () => known.generation >= generation, PATIENCE_MS);
    for (const { id } of listeners) await until(`news of ${id}`, () => known.listeners.has(id), PATIENCE_MS);
  }

  async healthy(nodes = this.at.nodes): Promise<void> {
    for (const node of nodes) await this.known.health(node, 'healthy');
  }

  get known() {
    return this.world.balancer.known;
  }

  place(rule: RuleListener, from?: string): Place {
    const { address, port, protocol } = rule;
    return { protocol: protocol as 'TCP' | 'UDP', address, port, ...(from === undefined ? {} : { from }) };
  }

  who(rule: RuleListener, from?: string): Promise<string> {
    return this.world.client.do('who', this.place(rule, from));
  }

  /** How often each answered. */
  async count(rule: RuleListener, times: number): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i++) {
      const name = await this.who(rule);
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  async answeredBy(rule: RuleListener, names: readonly string[]): Promise<void> {
    const wanted = [...names].sort().join();
    let seen = '';
    await until(
      `answers by just ${wanted}`,
      async () => {
        seen = Object.keys(await this.count(rule, names.length * 3))
          .sort()
          .join();
        return seen === wanted;
      },
      PATIENCE_MS,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; the last were ${seen}`);
    });
  }
}

const promises: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'TCP connections go to all targets in turn': async (stage) => {
    const web = stage.web();
    await stage.apply([web]);
    await stage.healthy();
    await stage.answeredBy(web, stage.at.nodes);
    const counts = await stage.count(web, 30);
    expect(counts).toEqual(Object.fromEntries(stage.at.nodes.map((node) => [node, 10])));
  },

  'flows of UDP go to all targets, and answers come from the address that was asked': async (stage) => {
    const dns = stage.dns();
    await stage.apply([dns]);
    await stage.answeredBy(dns, stage.at.nodes);
    const id = await stage.world.client.do('flow', stage.place(dns));
    const first = await stage.world.client.do('ask', id);
    for (let i = 0; i < 5; i++) expect(await stage.world.client.do('ask', id)).toBe(first);
  },

  'TCP and UDP share a port': async (stage) => {
    const [web, dns] = [stage.web(), stage.dns()];
    await stage.apply([web, dns]);
    await stage.answeredBy(web, stage.at.nodes);
    await stage.answeredBy(dns, stage.at.nodes);
  },

  'IPv6 is as IPv4': async (stage) => {
    const { ipv6 } = stage.world;
    if (!ipv6) throw new Error('the world has no IPv6');
    const [web, dns] = [stage.web({ address: ipv6.listener }), stage.dns({ address: ipv6.listener })];
    await stage.apply([web, dns], ipv6.nodes);
    await stage.answeredBy(web, ipv6.nodes);
    await stage.answeredBy(dns, ipv6.nodes);
    await stage.apply([stage.web({ address: ipv6.listener, sourceRanges: [ipv6.range] })], ipv6.nodes);
    expect(ipv6.nodes).toContain(await stage.who(web, ipv6.clients[0]));
    expect(ipv6.nodes).not.toContain(await stage.who(web, ipv6.clients[1]));
  },

  'session affinity keeps a client at its target, and a target that goes moves only its own clients': async (stage) => {
    const web = stage.web({ affinitySeconds: 3_600 });
    await stage.apply([web]);
    await stage.healthy();
    const targets = new Map<string, string>();
    for (const client of stage.at.clients) targets.set(client, await stage.who(web, client));
    expect(new Set(targets.values()).size).toBeGreaterThan(1);
    for (const client of stage.at.clients) expect(await stage.who(web, client)).toBe(targets.get(client));
    const [gone = '', ...rest] = stage.at.nodes;
    await stage.apply([web], rest);
    await stage.answeredBy(web, [await stage.who(web)]);
    for (const [client, target] of targets) {
      const now = await stage.who(web, client);
      if (target === gone) expect(rest).toContain(now);
      else expect(now).toBe(target);
    }
  },

  'session affinity, of TCP and UDP: a target that comes moves no client within its time, and then gets its share': (stage) =>
    clientsStay(stage),

  'session affinity of IPv6 is as that of IPv4': async (stage) => {
    const { ipv6 } = stage.world;
    if (!ipv6) throw new Error('the world has no IPv6');
    await clientsStay(stage, ipv6, { address: ipv6.listener });
  },

  'session affinity with targets that have ports of their own is no other': (stage) =>
    clientsStay(stage, stage.at, { nodePort: 30_080 }, stage.nodePort),

  'source ranges hold for TCP and UDP, and a change of them takes effect at once': async (stage) => {
    const { range, clients, nodes } = stage.at;
    const [inside, outside] = clients;
    const rules = [stage.web({ sourceRanges: [range] }), stage.dns({ sourceRanges: [range] })];
    await stage.apply(rules);
    for (const rule of rules) {
      expect(nodes).toContain(await stage.who(rule, inside));
      expect(nodes).not.toContain(await stage.who(rule, outside));
    }
    const { listeners } = await stage.world.balancer.do('counters', null);
    for (const rule of rules) expect(listeners[rule.id]?.refusedByRange).toBeGreaterThan(0);
    const open = [stage.web(), stage.dns()];
    await stage.apply(open);
    for (const rule of open) expect(nodes).toContain(await stage.who(rule, outside));
  },

  'a listener that goes takes nothing new, and what is established goes on until it ends': async (stage) => {
    const web = stage.web({ drainMs: 60_000 });
    await stage.apply([web]);
    const { id } = await stage.world.client.do('hold', stage.place(web));
    await stage.apply([]);
    await until('draining', () => stage.known.listeners.get('web')?.state === 'draining', PATIENCE_MS);
    expect(stage.at.nodes).not.toContain(await stage.who(web));
    expect(await stage.world.client.do('say', { id, text: 'still there' })).toBe('still there');
    await stage.world.client.do('drop', id);
    await until('nothing is left', () => !stage.known.listeners.has('web'), PATIENCE_MS);
  },

  'a drained connection is cut when its time is over': async (stage) => {
    const web = stage.web({ drainMs: 1_000 });
    await stage.apply([web]);
    const { id } = await stage.world.client.do('hold', stage.place(web));
    await stage.apply([]);
    await until('nothing is left', () => !stage.known.listeners.has('web'), PATIENCE_MS);
    await until('the end', async () => (await stage.world.client.do('say', { id, text: 'x' })) === 'closed', PATIENCE_MS);
  },

  'connections to a target that goes have the drain time, and new ones go elsewhere': async (stage) => {
    const web = stage.web({ drainMs: 60_000 });
    await stage.apply([web]);
    const { id, who } = await stage.world.client.do('hold', stage.place(web));
    const rest = stage.at.nodes.filter((node) => node !== who);
    await stage.apply([web], rest);
    await stage.answeredBy(web, rest);
    expect(await stage.world.client.do('say', { id, text: 'still there' })).toBe('still there');
    await stage.apply([{ ...web, drainMs: 0 }], [rest[0]!]);
    await stage.answeredBy(web, [rest[0]!]);
  },

  'a connection to a target that went is cut when its time is over': async (stage) => {
    const web = stage.web({ drainMs: 1_500 });
    await stage.apply([web]);
    const { id, who } = await stage.world.client.do('hold', stage.place(web));
    await stage.apply(
      [web],
      stage.at.nodes.filter((node) => node !== who),
    );
    await until('the end', async () => (await stage.world.client.do('say', { id, text: 'x' })) === 'closed', PATIENCE_MS);
  },

  'a target that stops is left out once it is known, and is back when it serves again': async (stage) => {
    const web = stage.web();
    await stage.apply([web]);
    await stage.healthy();
    const [stopped = '', ...rest] = stage.at.nodes;
    await stage.world.nodes.do('stop', { address: stopped, port: stage.nodePort });
    await stage.answeredBy(web, rest);
    await stage.known.health(`${stopped}:${stage.nodePort}`, 'unhealthy');
    await stage.world.nodes.do('serve', { addresses: [stopped], port: stage.nodePort });
    await stage.answeredBy(web, stage.at.nodes);
  },

  'a target that accepts and never answers is left out by a check over HTTP, and the others serve': async (stage) => {
    const [mute = '', ...rest] = stage.at.nodes;
    const { nodes } = stage.world;
    const port = await nodes.do('health', { addresses: rest, port: 0 });
    await nodes.do('mute', { address: mute, port });
    await nodes.do('stop', { address: mute, port: stage.nodePort });
    await nodes.do('mute', { address: mute, port: stage.nodePort });
    const check = { kind: 'http', port, path: '/', intervalMs: 300, timeoutMs: 500 } as const;
    const [web, other] = [stage.web({ check }), stage.web({ id: 'other', port: PORT + 1, nodeSet: 'rest' })];
    await stage.apply([web, other], stage.at.nodes, { nodeSets: { all: stage.at.nodes, rest } });
    await stage.answeredBy(other, rest);
    await stage.known.health(`${mute}:${stage.nodePort}`, 'unhealthy');
    await stage.answeredBy(web, rest);
  },

  'a flow of UDP leaves a target that stops': async (stage) => {
    const rules = [stage.web(), stage.dns()];
    await stage.apply(rules);
    await stage.healthy();
    const id = await stage.world.client.do('flow', stage.place(rules[1]!));
    const first = await until('an answer', async () => {
      const name = await stage.world.client.do('ask', id);
      return name === 'timeout' ? undefined : name;
    });
    await stage.world.nodes.do('stop', { address: first, port: stage.nodePort });
    const next = await until(
      'another target',
      async () => {
        const name = await stage.world.client.do('ask', id);
        return name === first || name === 'timeout' ? undefined : name;
      },
      PATIENCE_MS,
    );
    expect(stage.at.nodes).toContain(next);
  },

  'a flow of UDP leaves a target that goes from the rules': async (stage) => {
    const dns = stage.dns({ drainMs: 0 });
    await stage.apply([dns]);
    const id = await stage.world.client.do('flow', stage.place(dns));
    const first = await stage.world.client.do('ask', id);
    const rest = stage.at.nodes.filter((node) => node !== first);
    await stage.apply([dns], rest);
    await until('another target', async () => rest.includes(await stage.world.client.do('ask', id)), PATIENCE_MS);
  },

  'every listener follows the nodes: the first of them may go, and a node may have a port of its own': async (stage) => {
    const { nodes } = stage.world;
    const [first = '', ...rest] = stage.at.nodes;
    const [gone, ...stay] = [0, 1, 2].map((i) => stage.web({ id: `web${i}`, port: PORT + i }));
    await stage.apply([gone!, ...stay], rest);
    for (const rule of [gone!, ...stay]) await stage.answeredBy(rule, rest);
    await stage.apply(stay);
    for (const rule of stay) await stage.answeredBy(rule, stage.at.nodes);
    const port = await nodes.do('serve', { addresses: [first], port: 0 });
    await nodes.do('stop', { address: first, port: stage.nodePort });
    const all = stage.at.nodes.map((address) => ({ id: address, addresses: [address], ...(address === first ? { port } : {}) }));
    await stage.apply(stay, stage.at.nodes, { nodes: all });
    for (const rule of stay) await stage.answeredBy(rule, stage.at.nodes);
    await stage.apply(stay, rest);
    for (const rule of stay) await stage.answeredBy(rule, rest);
  },

  'another nodePort is another target for what is new, TCP and UDP': async (stage) => {
    const rules = [stage.web(), stage.dns({ drainMs: 0 })];
    await stage.apply(rules);
    const id = await stage.world.client.do('flow', stage.place(rules[1]!));
    await stage.world.client.do('ask', id);
    const [only = ''] = stage.at.nodes;
    const port = await stage.world.nodes.do('serve', { addresses: [only], port: 0 });
    await stage.apply(
      rules.map((rule) => ({ ...rule, nodePort: port })),
      [only],
    );
    for (const address of stage.at.nodes) await stage.world.nodes.do('stop', { address, port: stage.nodePort });
    await until('UDP at the new one', async () => (await stage.world.client.do('ask', id)) === only, PATIENCE_MS);
    await until('TCP at the new one', async () => (await stage.who(rules[0]!)) === only, PATIENCE_MS);
  },

  'a target has its own port or a mapped one': async (stage) => {
    const [one = '', two = ''] = stage.at.nodes;
    const port = await stage.world.nodes.do('serve', { addresses: [two], port: 0 });
    const web = stage.web({ nodePort: 30_080 });
    const nodes = [
      { id: 'one', addresses: [one], port: stage.nodePort },
      { id: 'two', addresses: [two], portMap: { 30080: `${two}:${port}` } },
    ];
    await stage.apply([web], [], { nodes, nodeSets: { all: ['one', 'two'] } });
    await stage.answeredBy(web, [one, two]);
  },

  'with no target left a connection is refused at once': async (stage) => {
    const web = stage.web();
    await stage.apply([web], []);
    expect(['ECONNREFUSED', 'ECONNRESET', 'closed']).toContain(await stage.who(web));
  },

  'connections, bytes and what is open are counted': async (stage) => {
    const web = stage.web();
    await stage.apply([web]);
    const { id } = await stage.world.client.do('hold', stage.place(web));
    await stage.world.client.do('say', { id, text: 'x'.repeat(1_000) });
    await stage.who(web);
    const counters = await until(
      'one open connection',
      async () => {
        const { listeners } = await stage.world.balancer.do('counters', null);
        return listeners['web']?.active === 1 ? listeners['web'] : undefined;
      },
      PATIENCE_MS,
    );
    expect(counters.connections).toBe(2);
    expect(counters.bytesFromClients).toBeGreaterThanOrEqual(1_000);
    expect(counters.bytesToClients).toBeGreaterThanOrEqual(1_000);
    await stage.apply([stage.web({ nodeSet: 'one' })], stage.at.nodes, { nodeSets: { one: [stage.at.nodes[0]!] } });
    const after = await stage.world.balancer.do('counters', null);
    expect(after.listeners['web']?.connections).toBe(2);
  },

  'a listener that is garbage or clashes fails by name, and the others are served': async (stage) => {
    const web = stage.web();
    const bad = stage.web({ id: 'bad', address: 'nowhere', port: 1 });
    const range = stage.web({ id: 'range', port: PORT + 1, sourceRanges: ['300.0.0.0/8'] });
    const twin = stage.web({ id: 'twin' });
    const away = stage.web({ id: 'away', address: '203.0.113.7', port: PORT + 2 });
    await stage.apply([web, bad, range, twin, away]);
    const code = (id: string) => {
      const state = stage.known.listeners.get(id);
      return state?.state === 'failed' ? state.code : state?.state;
    };
    await until('the twin to fail', () => code('twin') === 'PortInUse', PATIENCE_MS);
    expect([code('bad'), code('range'), code('away')]).toEqual(['SyncFailed', 'SyncFailed', 'AddressUnavailable']);
    await stage.answeredBy(web, stage.at.nodes);
  },

  'a port of a process of this machine is not taken from it': async (stage) => {
    const port = await stage.world.balancer.do('serve', { addresses: [stage.at.listener], port: 0 });
    const web = stage.web({ port });
    await stage.apply([web]);
    const state = await until('news', () => stage.known.listeners.get('web'));
    expect(state).toMatchObject({ state: 'failed', code: 'PortInUse' });
    expect(await stage.who(web)).toBe(stage.at.listener);
  },

  'a client on this machine is served': async (stage) => {
    const [web, dns] = [stage.web(), stage.dns()];
    await stage.apply([web, dns]);
    for (const rule of [web, dns]) {
      const { balancer } = stage.world;
      await until('an answer', async () => stage.at.nodes.includes(await balancer.do('who', stage.place(rule))), PATIENCE_MS);
    }
  },

  'on an address that is ours alone nothing but the listeners answers': async (stage) => {
    const { exclusive, nodes } = stage.at;
    const other = await stage.world.balancer.do('serve', { addresses: ['0.0.0.0'], port: 0 });
    const web = stage.web({ address: exclusive });
    await stage.apply([web], nodes, { exclusive: [exclusive] });
    await stage.answeredBy(web, nodes);
    for (const protocol of ['TCP', 'UDP'] as const) {
      const answer = await stage.world.client.do('who', { protocol, address: exclusive, port: other });
      expect(['ECONNREFUSED', 'timeout']).toContain(answer);
      const elsewhere = await stage.world.client.do('who', { protocol, address: stage.at.listener, port: other });
      expect(elsewhere).toBe('0.0.0.0');
    }
  },
};
