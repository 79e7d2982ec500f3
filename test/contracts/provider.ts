import { isIP } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cures } from '../../src/errors.ts';
import type { Balancer, Listener, Report, Step } from '../../src/model.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { type BalancerWish, balancer, holding, node, nothingReserved } from '../providers/builders.ts';
import { drop, reportOf, want } from '../providers/drive.ts';

/** One machine, cloud or file that instances of a provider work on, one after the other. */
export interface World {
  /** A new instance, not opened. */
  create(): Promise<Provider>;
  /** The end of an instance's process: nothing of it runs on, what outlives it stays. */
  kill(provider: Provider): Promise<void>;
  /** Ports that may be served here; four. */
  readonly ports: readonly [number, number, number, number];
  /** A balancer that the provider must refuse. */
  readonly impossible: BalancerWish;
  end(): Promise<void>;
}

/** Tests that a provider does not claim to pass, and why not. */
export interface Skip {
  readonly reason: string;
  readonly tests: readonly string[];
}

const nodes = [node('n1', '127.0.0.1'), node('n2', '127.0.0.1'), node('n3', '127.0.0.1')];

/** What every provider promises. `make` gives a fresh world to each test. */
export function providerContract(
  name: string,
  make: () => Promise<World>,
  options: { readonly skip?: readonly Skip[] } = {},
): void {
  describe(`the provider contract: ${name}`, () => {
    let stage: Stage;
    beforeEach(async () => {
      stage = await Stage.open(await make());
    });
    afterEach(() => stage.end());

    const skips = options.skip ?? [];
    for (const [title, run] of Object.entries(promises)) {
      const skip = skips.find(({ tests }) => tests.includes(title));
      if (skip) test(`${title} (not claimed: ${skip.reason})`, () => expect(skip.reason).not.toBe(''));
      else test(title, () => run(stage));
    }

    test('every declared gap is a test of the contract', () => {
      expect(Object.keys(promises)).toEqual(expect.arrayContaining(skips.flatMap(({ tests }) => tests)));
    });
  });
}

/** One instance at work, driven as the controller drives it. */
class Stage {
  readonly world: World;
  provider: Provider;
  readonly #living = new Set<Provider>();

  private constructor(world: World, provider: Provider) {
    this.world = world;
    this.provider = provider;
  }

  static async open(world: World): Promise<Stage> {
    const stage = new Stage(world, await world.create());
    await stage.#begin([]);
    return stage;
  }

  /** The process dies where it is, and another one starts with what the cluster has recorded. */
  async crash(recorded: readonly Balancer[]): Promise<void> {
    await this.#kill();
    this.provider = await this.world.create();
    await this.#begin(recorded);
  }

  async end(): Promise<void> {
    if (this.#living.has(this.provider)) await this.#kill();
    await this.world.end();
  }

  web(wish: BalancerWish = {}): Balancer {
    return balancer({ nodes, ports: [{ port: this.world.ports[0], nodePort: 30_080 }], ...wish });
  }

  adjust(wanted: Balancer): Balancer {
    return this.provider.adjust(wanted, nothingReserved);
  }

  async plan(key: string, wanted: Balancer | undefined): Promise<readonly Step[]> {
    return this.provider.plan(wanted, await this.provider.observe(key), Date.now());
  }

  async want(wish: Balancer, apply?: (step: Step) => Promise<void>): Promise<Balancer> {
    return want(this.provider, wish, apply);
  }

  async drop(key: string): Promise<void> {
    await drop(this.provider, key);
  }

  async report(key: string): Promise<Report> {
    return reportOf(this.provider, key);
  }

  async #begin(balancers: readonly Balancer[]): Promise<void> {
    this.#living.add(this.provider);
    await this.provider.open({ balancers, surroundings: nothingReserved, changed: () => {} });
  }

  async #kill(): Promise<void> {
    this.#living.delete(this.provider);
    await this.world.kill(this.provider);
  }
}

const promises: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'a wanted balancer settles, and then there is nothing to do': async (stage) => {
    const wanted = await stage.want(stage.web());
    expect(await stage.plan(wanted.key, wanted)).toEqual([]);
    const report = await stage.report(wanted.key);
    expect(report).toMatchObject({ settled: true, gone: false });
    expect(report.addresses).not.toEqual([]);
  },

  'the addresses that are held are those that are published': async (stage) => {
    const wanted = await stage.want(stage.web());
    const { addresses } = await stage.report(wanted.key);
    const published = addresses.map((address) => address.ip).filter((ip) => ip !== undefined);
    expect(wanted.address.held).toEqual(expect.arrayContaining(published));
  },

  'adjusting again, or what is adjusted already, changes nothing': async (stage) => {
    const once = stage.adjust(stage.web());
    expect(stage.adjust(stage.web())).toEqual(once);
    expect(stage.adjust(once)).toEqual(once);
    await stage.want(stage.web({ name: 'other', ports: [{ port: stage.world.ports[1], nodePort: 30_081 }] }));
    expect(stage.adjust(once)).toEqual(once);
  },

  'adjust does not change what it is given': async (stage) => {
    const wish = stage.web();
    const before = structuredClone(wish);
    stage.adjust(deepFreeze(wish));
    expect(wish).toEqual(before);
  },

  'what cannot be done is refused with a code of the table, and nothing is left of it': async (stage) => {
    const impossible = stage.web(stage.world.impossible);
    expect(() => stage.adjust(impossible)).toThrow(expect.objectContaining({ name: 'Refusal', code: expect.any(String) }));
    try {
      stage.adjust(impossible);
    } catch (thrown) {
      expect(cures).toHaveProperty((thrown as { readonly code: string }).code);
    }
    expect(await stage.provider.keys()).toEqual([]);
    expect((await stage.report(impossible.key)).gone).toBe(true);
  },

  'plan is pure: the same answer twice, from frozen input': async (stage) => {
    const wanted = deepFreeze(stage.adjust(stage.web()));
    const observed = deepFreeze(await stage.provider.observe(wanted.key));
    const steps = stage.provider.plan(wanted, observed, 1);
    expect(steps).not.toEqual([]);
    expect(stage.provider.plan(wanted, observed, 1)).toEqual(steps);
    await stage.want(stage.web());
    expect(stage.provider.plan(wanted, observed, 1)).toEqual(steps);
  },

  'report is pure: what was observed once reads the same for ever': async (stage) => {
    const wanted = await stage.want(stage.web());
    const observed = deepFreeze(await stage.provider.observe(wanted.key));
    const report = structuredClone(stage.provider.report(observed));
    await stage.drop(wanted.key);
    expect(stage.provider.report(observed)).toEqual(report);
  },

  'every step says for people what it does, why, and whether it cuts traffic': async (stage) => {
    const wanted = stage.adjust(stage.web());
    const steps = [...(await stage.plan(wanted.key, wanted))];
    await stage.want(stage.web());
    steps.push(...(await stage.plan(wanted.key, undefined)));
    for (const step of steps) {
      expect(step.kind).toMatch(/^[a-z]+(-[a-z]+)+$/);
      expect(step.summary).toMatch(/^\S.*\S$/);
      expect(step.reason).toMatch(/^\S.*\S$/);
      expect(typeof step.disrupts).toBe('boolean');
    }
    expect(steps.length).toBeGreaterThan(1);
  },

  'each step may be applied twice': async (stage) => {
    const twice = async (step: Step): Promise<void> => {
      await stage.provider.apply(step);
      await stage.provider.apply(step);
    };
    const wanted = await stage.want(stage.web(), twice);
    expect(await stage.plan(wanted.key, wanted)).toEqual([]);
    for (const step of await stage.plan(wanted.key, undefined)) await twice(step);
    await stage.drop(wanted.key);
  },

  'keys lists what is held, and only that': async (stage) => {
    const [, second] = stage.world.ports;
    await stage.want(stage.web());
    await stage.want(stage.web({ name: 'other', ports: [{ port: second, nodePort: 30_081 }] }));
    expect([...(await stage.provider.keys())].sort()).toEqual(['default/other', 'default/web']);
    await stage.drop('default/web');
    expect(await stage.provider.keys()).toEqual(['default/other']);
  },

  'what nobody wants any more goes, also what was adjusted and never made': async (stage) => {
    await stage.want(stage.web());
    await stage.drop('default/web');
    stage.adjust(stage.web());
    await stage.drop('default/web');
    expect(await stage.plan('default/web', undefined)).toEqual([]);
    expect(await stage.provider.keys()).toEqual([]);
  },

  'a key that never was is gone, and needs no step': async (stage) => {
    expect(await stage.report('default/never')).toMatchObject({ gone: true, addresses: [], listeners: [], targets: [] });
    expect(await stage.plan('default/never', undefined)).toEqual([]);
    expect(await stage.provider.keys()).toEqual([]);
  },

  'after a crash the addresses are the same': async (stage) => {
    const [, second] = stage.world.ports;
    const web = await stage.want(stage.web());
    const other = await stage.want(stage.web({ name: 'other', ports: [{ port: second, nodePort: 30_081 }] }));
    await stage.crash([web, other]);
    expect(stage.adjust(other).address.held).toEqual(other.address.held);
    expect((await stage.want(web)).address.held).toEqual(web.address.held);
    expect((await stage.want(other)).address.held).toEqual(other.address.held);
  },

  'after a crash between any two steps the work is taken up': async (stage) => {
    const [first, second] = stage.world.ports;
    const wish = stage.web({
      ports: [
        { port: first, nodePort: 30_080 },
        { port: second, nodePort: 30_081 },
      ],
    });
    const wanted = stage.adjust(wish);
    const recorded = holding(wish, wanted.address.held);
    for (let done = 1; done <= (await stage.plan(wanted.key, wanted)).length; done += 1) {
      for (const step of (await stage.plan(wanted.key, stage.adjust(recorded))).slice(0, done)) await stage.provider.apply(step);
      await stage.crash([recorded]);
    }
    expect((await stage.want(recorded)).address.held).toEqual(wanted.address.held);
  },

  'what a crash leaves, of which nothing is on record, is nothing or is found again, as the provider declares': async (stage) => {
    const wanted = await stage.want(stage.web());
    await stage.crash([]);
    const isLeft = (await stage.provider.keys()).includes(wanted.key);
    expect(isLeft).toBe(stage.provider.ephemeral !== true);
    expect((await stage.report(wanted.key)).gone).toBe(!isLeft);
    await stage.drop(wanted.key);
    const next = await stage.want(stage.web({ name: 'next' }));
    const { settled, listeners } = await stage.report(next.key);
    expect([settled, listeners.filter(({ error }) => error)]).toEqual([true, []]);
  },

  'two balancers do not disturb each other': async (stage) => {
    const [, second] = stage.world.ports;
    const web = await stage.want(stage.web());
    const before = await stage.report(web.key);
    const other = await stage.want(stage.web({ name: 'other', ports: [{ port: second, nodePort: 30_081 }] }));
    expect(await stage.plan(web.key, web)).toEqual([]);
    await stage.drop(other.key);
    expect(await stage.plan(web.key, web)).toEqual([]);
    expect(summarize(await stage.report(web.key))).toEqual(summarize(before));
  },

  'listeners come and go, and the address stays': async (stage) => {
    const [first, second, third] = stage.world.ports;
    const ports = [[first], [first, second], [second], [third]];
    const held = (await stage.want(stage.web())).address.held;
    for (const list of ports) {
      const wanted = await stage.want(stage.web({ ports: list.map((port, i) => ({ port, nodePort: 30_080 + i })) }));
      expect(wanted.address.held).toEqual(held);
      expect((await stage.report(wanted.key)).listeners.map(({ port }) => port).sort()).toEqual([...list].sort());
    }
  },

  'nodes come, go and move': async (stage) => {
    const lists = [nodes.slice(0, 2), nodes, nodes.slice(1), [nodes[1]!, node('n3', '127.0.0.3')]];
    for (const list of lists) {
      const wanted = await stage.want(stage.web({ nodes: list }));
      expect(await stage.plan(wanted.key, wanted)).toEqual([]);
      const told = new Set((await stage.report(wanted.key)).targets.map((target) => target.node));
      expect([...told].sort()).toEqual(list.map(({ name }) => name).sort());
    }
  },

  'a change of one thing is a plan, and the same list of nodes in a new array is none': async (stage) => {
    const wanted = await stage.want(stage.web());
    const copy = { ...wanted, nodes: wanted.nodes.map((n) => ({ ...n, addresses: [...n.addresses] })) };
    expect(await stage.plan(wanted.key, copy)).toEqual([]);
    const other = stage.adjust({ ...wanted, listeners: wanted.listeners.map((l) => withNodePort(l, 30_099)) });
    expect(await stage.plan(wanted.key, other)).not.toEqual([]);
  },

  'a report is plain data: addresses, codes of the table, and health with its age': async (stage) => {
    const wanted = await stage.want(stage.web());
    const report = await stage.report(wanted.key);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    for (const { ip, hostname, ipMode } of report.addresses) {
      expect([ip, hostname].filter((value) => value !== undefined)).toHaveLength(1);
      if (ip !== undefined) expect(isIP(ip)).toBeGreaterThan(0);
      if (ipMode !== undefined) expect([ip === undefined, ['VIP', 'Proxy'].includes(ipMode)]).toEqual([false, true]);
    }
    for (const { uid, port, error } of report.listeners) {
      expect([uid, port]).toEqual([wanted.members[0]!.uid, stage.world.ports[0]]);
      if (error) expect(cures).toHaveProperty(error.code);
    }
    for (const { health, asOf } of report.targets) {
      expect(['healthy', 'unhealthy', 'unknown', 'draining']).toContain(health);
      expect(Math.abs(Date.now() - asOf)).toBeLessThan(60_000);
    }
  },
};

/** A report without what time alone changes. */
function summarize({ addresses, listeners, settled, gone }: Report): object {
  return { addresses, listeners, settled, gone };
}

function withNodePort(listener: Listener, nodePort: number): Listener {
  return { ...listener, targetGroup: { ...listener.targetGroup, nodePort } };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
