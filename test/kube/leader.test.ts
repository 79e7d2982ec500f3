import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KubeError } from '../../src/kube/api.ts';
import { type Clocks, type Election, standForLeader } from '../../src/kube/leader.ts';
import { at } from '../../src/kube/objects.ts';
import { keepLog, MemoryApi } from './memory-api.ts';

/** Time that passes when it is told to, for everybody together. */
class World {
  readonly api = new MemoryApi();
  readonly log = keepLog();
  monotonic = 0;
  wallAhead = Date.UTC(2026, 0, 1);
  /** Watches stand, and bring nothing. */
  deaf = false;
  readonly #cut = new Set<string>();
  readonly #sleepers = new Set<{ readonly until: number; wake(): void }>();
  readonly candidates: Candidate[] = [];

  clocks(): Clocks {
    return {
      wall: () => this.wallAhead + this.monotonic,
      monotonic: () => this.monotonic,
      random: () => 0,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const sleeper = {
            until: this.monotonic + ms,
            wake: () => {
              this.#sleepers.delete(sleeper);
              resolve();
            },
          };
          this.#sleepers.add(sleeper);
          signal.addEventListener('abort', sleeper.wake);
          if (signal.aborted) sleeper.wake();
        }),
    };
  }

  async pass(ms: number): Promise<void> {
    const end = this.monotonic + ms;
    await settle();
    while (this.monotonic < end) {
      this.monotonic += 250;
      for (const sleeper of [...this.#sleepers]) if (sleeper.until <= this.monotonic) sleeper.wake();
      await settle();
      const holders = this.candidates.filter((candidate) => candidate.election.holds());
      if (holders.length > 1) throw new Error(`two leaders: ${holders.map((h) => h.identity).join(', ')}`);
    }
  }

  stand(identity: string): Candidate {
    const told: string[] = [];
    const api = this.#guarded(this.api, identity);
    const election = standForLeader({
      api,
      namespace: 'kube-system',
      name: 'nodeport-lb',
      log: this.log,
      identity,
      clocks: this.clocks(),
    });
    const done = election.run({
      gained: () => {
        told.push('gained');
      },
      lost: async () => {
        told.push('lost');
      },
    });
    const candidate = { identity, election, told, done };
    this.candidates.push(candidate);
    return candidate;
  }

  /** From now on no call of the candidate's succeeds. */
  cutOff({ identity }: Candidate): void {
    this.#cut.add(identity);
  }

  reconnect({ identity }: Candidate): void {
    this.#cut.delete(identity);
  }

  #guarded(api: MemoryApi, identity: string): MemoryApi {
    const own = Object.create(api) as MemoryApi;
    const reach = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        if (this.#cut.has(identity)) throw new KubeError(0, 'Unreachable', 'cut off');
        return call(...args);
      };
    };
    own.get = reach(api.get.bind(api));
    own.update = reach(api.update.bind(api));
    own.create = reach(api.create.bind(api));
    own.watch = (call, namespace, query, onEvent, signal, onOpen) =>
      api.watch(call, namespace, query, (event) => (this.deaf ? undefined : onEvent(event)), signal, onOpen);
    return own;
  }

  lease(): unknown {
    return at(this.api.all('leases')[0], 'spec');
  }
}

interface Candidate {
  readonly identity: string;
  readonly election: Election;
  readonly told: string[];
  readonly done: Promise<void>;
}

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  world.api.refuse = () => undefined;
  world.api.pace = async () => {};
  for (const { election } of world.candidates) await release(election);
});

/** Releasing may wait for a call that hangs, which only passing time ends. */
async function release(election: Election): Promise<void> {
  const released = election.release();
  await world.pass(15_000);
  await released;
}

describe('an election', () => {
  test('has one winner, and the Lease says who, as client-go would', async () => {
    const a = world.stand('a');
    await world.pass(500);
    const b = world.stand('b');
    await world.pass(60_000);
    expect([a.told, b.told]).toEqual([['gained'], []]);
    expect([a.election.holder(), b.election.holder()]).toEqual(['a', 'a']);
    expect(world.lease()).toMatchObject({
      holderIdentity: 'a',
      leaseDurationSeconds: 3,
      leaseTransitions: 0,
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: expect.stringMatching(/^2026-01-01T00:0[01]:\d\d\.\d{6}Z$/),
    });
    await a.election.first;
  });

  test('that everybody begins at once has one winner', async () => {
    const all = ['a', 'b', 'c', 'd'].map((identity) => world.stand(identity));
    await world.pass(10_000);
    expect(all.flatMap((candidate) => candidate.told)).toEqual(['gained']);
  });

  test('is over when the leader lets go: another takes it at once', async () => {
    const a = world.stand('a');
    await world.pass(500);
    const b = world.stand('b');
    await world.pass(3000);
    await a.election.release();
    await a.done;
    expect(a.election.holds()).toBe(false);
    await world.pass(250); // it has heard of it, and need not ask
    expect(b.told).toEqual(['gained']);
    expect(world.lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(a.told).toEqual(['gained']); // a clean stop is no loss
  });

  test('is won from one that died only when its lease has expired by the own clock', async () => {
    world.api.set('leases', {
      metadata: { namespace: 'kube-system', name: 'nodeport-lb', labels: { kept: 'yes' } },
      spec: {
        holderIdentity: 'dead',
        leaseDurationSeconds: 15,
        renewTime: '2020-01-01T00:00:00.000000Z',
        leaseTransitions: 4,
        extra: 1,
      },
    });
    const a = world.stand('a');
    await world.pass(14_000);
    expect(a.told).toEqual([]);
    await world.pass(5000);
    expect(a.told).toEqual(['gained']);
    expect(world.lease()).toMatchObject({ holderIdentity: 'a', leaseTransitions: 5, extra: 1 });
    expect(at(world.api.all('leases')[0]?.metadata, 'labels')).toEqual({ kept: 'yes' });
  });

  test('of a leader that dies is over a lease after its last renewal, whatever part of it others have waited', async () => {
    const a = world.stand('a');
    await world.pass(500);
    const b = world.stand('b');
    await world.pass(7250);
    world.cutOff(a);
    const died = world.monotonic;
    await world.pass(1750); // its last renewal was up to a second ago
    expect(b.told).toEqual([]);
    await world.pass(1500);
    expect(b.told).toEqual(['gained']);
    expect(world.monotonic - died).toBeLessThan(5000);
  });

  test.each(['forbidden', 'silent'])('goes on by asking where a watch of the Lease is %s', async (how) => {
    if (how === 'silent') world.deaf = true;
    else world.api.refuse = (call) => (call === 'watchLeases' ? new KubeError(403, 'Forbidden', 'no') : undefined);
    const a = world.stand('a');
    await world.pass(500);
    const b = world.stand('b');
    await world.pass(20_000);
    expect([a.told, b.told]).toEqual([['gained'], []]);
    world.cutOff(a);
    await world.pass(9000);
    expect(b.told).toEqual(['gained']);
  });

  test('asks little while it is decided: the leader writes once a second, the others hear of it', async () => {
    const asked: string[] = [];
    world.api.refuse = (call) => {
      asked.push(call);
      return undefined;
    };
    world.stand('a');
    await world.pass(500);
    world.stand('b');
    await world.pass(1000);
    asked.length = 0;
    await world.pass(20_000);
    expect(new Set(asked)).toEqual(new Set(['updateLease']));
    expect(asked.length).toBeLessThanOrEqual(20);
  });

  test('a lease that the holder promised for longer is left to it for longer', async () => {
    world.api.set('leases', {
      metadata: { namespace: 'kube-system', name: 'nodeport-lb' },
      spec: { holderIdentity: 'slow', leaseDurationSeconds: 60, renewTime: '2026-01-01T00:00:00.000000Z' },
    });
    const a = world.stand('a');
    await world.pass(55_000);
    expect(a.told).toEqual([]);
    await world.pass(10_000);
    expect(a.told).toEqual(['gained']);
  });
});

describe('trouble', () => {
  const away = () => new KubeError(0, 'Unreachable', 'away');

  test('shorter than the deadline is survived', async () => {
    const a = world.stand('a');
    await world.pass(3000);
    world.api.refuse = away;
    await world.pass(1000);
    expect(a.election.holds()).toBe(true);
    world.api.refuse = () => undefined;
    await world.pass(60_000);
    expect(a.told).toEqual(['gained']);
    expect(a.election.holds()).toBe(true);
  });

  test('longer than the deadline is a loss, told once, and then it stands again', async () => {
    const a = world.stand('a');
    await world.pass(3000);
    world.api.refuse = away;
    await world.pass(11_000);
    expect(a.election.holds()).toBe(false);
    await world.pass(60_000);
    expect(a.told).toEqual(['gained', 'lost']);
    world.api.refuse = () => undefined;
    await world.pass(5000);
    expect(a.told).toEqual(['gained', 'lost', 'gained']);
  });

  test('an API server that never answers is a loss too', async () => {
    const a = world.stand('a');
    await world.pass(3000);
    world.api.pace = () => new Promise(() => {});
    await world.pass(10_000);
    expect(a.election.holds()).toBe(false);
    await world.pass(5000);
    expect(a.told).toEqual(['gained', 'lost']);
  });

  test('of one alone gives the lease to the other, and never to both', async () => {
    const a = world.stand('a'); // a world that finds two leaders at any quarter of a second throws
    await world.pass(500);
    const b = world.stand('b');
    await world.pass(10_000);
    world.cutOff(a);
    await world.pass(30_000);
    expect([a.told, b.told]).toEqual([['gained', 'lost'], ['gained']]);
    world.reconnect(a);
    await world.pass(30_000);
    expect([a.election.holds(), b.election.holds()]).toEqual([false, true]);
  });

  test('a lease that was taken by force is lost at the next renewal', async () => {
    const a = world.stand('a');
    await world.pass(3000);
    world.api.set('leases', {
      metadata: { namespace: 'kube-system', name: 'nodeport-lb' },
      spec: { holderIdentity: 'thief', leaseDurationSeconds: 15, renewTime: 'x' },
    });
    await world.pass(2500);
    expect(a.told).toEqual(['gained', 'lost']);
    expect(a.election.holder()).toBe('thief');
  });

  test('an edit of the Lease by someone else is no loss; nor is its deletion', async () => {
    const a = world.stand('a');
    await world.pass(3000);
    world.api.set('leases', {
      metadata: { namespace: 'kube-system', name: 'nodeport-lb', labels: { x: 'y' } },
      spec: world.lease(),
    });
    await world.pass(6000);
    world.api.delete('leases', 'kube-system', 'nodeport-lb');
    await world.pass(6000);
    expect(a.told).toEqual(['gained']);
    expect(world.lease()).toMatchObject({ holderIdentity: 'a' });
  });

  test('a right that lacks is logged, not thrown', async () => {
    world.api.refuse = () => new KubeError(403, 'Forbidden', 'grant it');
    const a = world.stand('a');
    await world.pass(10_000);
    expect(a.told).toEqual([]);
    expect(world.log.lines.filter((line) => /^warn .*grant it/.test(line)).length).toBe(1);
  });
});

describe('clocks', () => {
  test('a machine that slept does not hold what it held, though its monotonic clock stood still', async () => {
    const a = world.stand('a');
    await world.pass(3000);
    world.wallAhead += 20_000;
    expect(a.election.holds()).toBe(false);
    await world.pass(3000);
    expect(a.election.holds()).toBe(true); // nobody had taken it meanwhile
    expect(a.told).toEqual(['gained']);
  });

  test('a wall clock that is set back gives no time', async () => {
    const a = world.stand('a');
    await world.pass(3000);
    world.api.refuse = () => new KubeError(0, 'Unreachable', 'away');
    world.wallAhead -= 3_600_000;
    await world.pass(11_000);
    expect(a.election.holds()).toBe(false);
  });
});

test('times that make no sense are refused', () => {
  const times = { leaseMs: 10_000, renewDeadlineMs: 10_000, retryMs: 2000 };
  expect(() => standForLeader({ api: world.api, namespace: 'a', name: 'b', log: world.log, times })).toThrow(RangeError);
});
