import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Balancer } from '../../../src/model.ts';
import { Allocator, type Bound } from '../../../src/providers/local/allocate.ts';
import { readPools } from '../../../src/providers/local/pools.ts';
import { type BalancerWish, balancer, holding, pool } from '../builders.ts';

const pools = readPools([
  pool('own', ['10.0.0.1-10.0.0.3', 'fd00::1-fd00::2']),
  pool('shared', ['10.0.1.1-10.0.1.2', 'fd01::1'], { sharePorts: true, priority: 1 }),
  pool('asked', ['10.0.2.1'], { autoAssign: false, namespaces: ['prod'] }),
]);

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'] as const;
const addresses = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.2', '10.0.2.1', 'fd00::1', 'fd01::1', '10.9.9.9', 'garbage'];

const wishes: fc.Arbitrary<BalancerWish> = fc.record(
  {
    name: fc.constantFrom(...names),
    namespace: fc.constantFrom('default', 'prod'),
    createdAt: fc.integer({ min: 1, max: 9 }).map((day) => `2026-01-0${day}T00:00:00Z`),
    ports: fc
      .uniqueArray(fc.constantFrom(80, 81, 82), { minLength: 1, maxLength: 3 })
      .map((ports) => ports.map((port) => ({ port }))),
    families: fc.constantFrom<BalancerWish['families'][]>(['IPv4'], ['IPv6'], ['IPv4', 'IPv6']),
    preferDualStack: fc.boolean(),
    requested: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...addresses), { minLength: 1, maxLength: 2 }) },
    ),
    pool: fc.constantFrom('own', 'shared', 'asked', 'nope'),
    held: fc.uniqueArray(fc.constantFrom(...addresses), { maxLength: 2 }),
  },
  { requiredKeys: ['name', 'namespace', 'createdAt', 'ports'] },
);

type Act = { readonly kind: 'assign'; readonly wish: BalancerWish } | { readonly kind: 'release'; readonly key: string };

const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: wishes.map((wish): Act => ({ kind: 'assign', wish })) },
    { weight: 1, arbitrary: fc.constantFrom(...names).map((name): Act => ({ kind: 'release', key: `default/${name}` })) },
  ),
  { maxLength: 30 },
);

/** What the acts leave: who was given what, as the cluster would have recorded it. */
interface Outcome {
  readonly allocator: Allocator;
  readonly served: ReadonlyMap<string, Balancer>;
  readonly refused: ReadonlySet<string>;
}

function play(list: readonly Act[], check: (outcome: Outcome) => void = () => {}): Outcome {
  const allocator = new Allocator(pools, { portFallback: false });
  const served = new Map<string, Balancer>();
  const refused = new Set<string>();
  for (const act of list) {
    if (act.kind === 'release') {
      allocator.release(act.key, []);
      served.delete(act.key);
      refused.delete(act.key);
    } else {
      const wanted = balancer(act.wish);
      try {
        served.set(wanted.key, holding(wanted, allocator.assign(wanted, reservedBy, [])));
        refused.delete(wanted.key);
      } catch {
        refused.add(wanted.key);
      }
    }
    check({ allocator, served, refused });
  }
  return { allocator, served, refused };
}

function reservedBy(address: string): string | undefined {
  return address === '10.0.0.3' ? 'node n1' : undefined;
}

function isShared(address: string): boolean {
  return address.startsWith('10.0.1.') || address.startsWith('fd01:');
}

function expectNoClash(served: ReadonlyMap<string, Balancer>): void {
  const taken = new Map<string, string>();
  for (const [key, { address, listeners }] of served) {
    for (const ip of address.held) {
      const places = isShared(ip) ? listeners.map(({ protocol, port }) => `${ip} ${port}/${protocol}`) : [ip];
      for (const place of places) {
        expect(`${place}: ${taken.get(place) ?? 'free'}`).toBe(`${place}: free`);
        taken.set(place, key);
      }
    }
  }
}

/** A second family that was wished for in vain may come when there is room. */
function expectKept(wanted: Balancer, given: readonly string[]): void {
  if (wanted.preferDualStack) expect(given).toEqual(expect.arrayContaining([...wanted.address.held]));
  else expect(given).toEqual(wanted.address.held);
}

const runs = { numRuns: 200 };

test('no address, protocol and port is ever given twice, and none that is reserved', () => {
  fc.assert(
    fc.property(acts, (list) => {
      play(list, ({ served }) => {
        expectNoClash(served);
        for (const { address } of served.values()) expect(address.held).not.toContain('10.0.0.3');
      });
    }),
    runs,
  );
});

test('who has an address keeps it, whatever the others do', () => {
  fc.assert(
    fc.property(acts, (list) => {
      const { allocator, served, refused } = play(list);
      for (const [key, wanted] of served) {
        if (refused.has(key)) expect(allocator.addressesOf(key)).toEqual(wanted.address.held);
        else expectKept(wanted, allocator.assign(wanted, reservedBy, []));
      }
    }),
    runs,
  );
});

test('rebuilt after a restart, everybody has what he had, in whatever order they are asked', () => {
  fc.assert(
    fc.property(acts, fc.nat(), (list, seed) => {
      const { served } = play(list);
      const recorded = [...served.values()];
      const rebuilt = new Allocator(pools, { portFallback: false });
      rebuilt.restore(rotate(recorded, seed), reservedBy);
      for (const wanted of rotate(recorded, seed * 7 + 3)) {
        expectKept(wanted, rebuilt.assign(wanted, reservedBy, []));
      }
    }),
    runs,
  );
});

test('the same calls give the same answers', () => {
  fc.assert(
    fc.property(acts, (list) => {
      const [first, second] = [play(list), play(list)];
      expect([...second.served.values()]).toEqual([...first.served.values()]);
    }),
    runs,
  );
});

test('when everybody is released, everything is free', () => {
  fc.assert(
    fc.property(acts, (list) => {
      const { allocator, served, refused } = play(list);
      for (const key of [...served.keys(), ...refused]) allocator.release(key, []);
      expect(allocator.keys()).toEqual([]);
      const all = ['x1', 'x2'].map((name) => allocator.assign(balancer({ name, pool: 'own' }), reservedBy, []));
      expect(all.flat().sort()).toEqual(['10.0.0.1', '10.0.0.2']);
    }),
    runs,
  );
});

test('an open listener keeps its port from the others until it is settled', () => {
  const open = fc.record({ address: fc.constantFrom('10.0.0.1', '10.0.1.1'), port: fc.constantFrom('80/TCP', '81/TCP') });
  fc.assert(
    fc.property(acts, open, (list, bound: Bound) => {
      const { allocator } = play(list);
      const holder = balancer({
        name: 'holder',
        requested: [bound.address],
        ports: [{ port: Number(bound.port.split('/')[0]) }],
      });
      try {
        allocator.assign(holder, reservedBy, [bound]);
      } catch {
        return; // somebody has it
      }
      allocator.release(holder.key, [bound]);
      const rival = () => allocator.assign({ ...holder, key: 'default/rival' }, reservedBy, []);
      expect(rival).toThrow(/is held by/);
      allocator.settle(holder.key, []);
      expect(rival()).toEqual([bound.address]);
    }),
    runs,
  );
});

function rotate<T>(list: readonly T[], by: number): readonly T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
