import type { Fitness } from './plan.ts';

/**
 * How fit this agent is for each group, over time. Whoever was away waits before it takes back what others hold meanwhile, so
 * that a machine that is half up, or an endpoint that comes and goes, does not move addresses to and fro. No clock of its own.
 */
export class FitnessRecord {
  readonly #holdMs: number;
  readonly #groups = new Map<number, Seen>();
  /** Everything waits until then. */
  #untilMs: number;
  #leaving = false;
  readonly #lost = new Set<number>();

  /** @param holdMs how long to wait, 0 and up */
  constructor(holdMs: number, nowMs: number) {
    this.#holdMs = holdMs;
    this.#untilMs = nowMs + holdMs;
  }

  /** The group's interface is down: it waits until it is up again, and from then on. */
  lost(id: number): void {
    this.#lost.add(id);
  }

  /** The group's interface is up. */
  found(id: number, nowMs: number): void {
    if (this.#lost.delete(id)) this.wasAway(nowMs);
  }

  /** keepalived was not there, and comes back knowing nothing. */
  wasAway(nowMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, nowMs + this.#holdMs);
  }

  /** This agent lets go of everything, and takes nothing any more. */
  leave(): void {
    this.#leaving = true;
  }

  /**
   * What can be served of a group now. A group that is seen for the first time does not wait: nobody has it yet. One that is
   * served better than before counts as before until it has been so for the whole wait.
   */
  see(id: number, served: Served, nowMs: number): void {
    const before = this.#groups.get(id);
    if (before?.served === served) return;
    const better = before !== undefined && rank[served] > rank[before.served];
    this.#groups.set(
      id,
      better ? { served, before: before.served, sinceMs: nowMs } : { served, before: served, sinceMs: -Infinity },
    );
  }

  /** Groups that are not among these are forgotten. */
  keepOnly(ids: ReadonlySet<number>): void {
    for (const id of [...this.#groups.keys(), ...this.#lost]) {
      if (ids.has(id)) continue;
      this.#groups.delete(id);
      this.#lost.delete(id);
    }
  }

  of(id: number, nowMs: number): Fitness {
    const group = this.#groups.get(id);
    if (this.#leaving || group === undefined || group.served === 'none') return 'not';
    if (nowMs < this.#untilMs || this.#lost.has(id)) return 'waiting';
    return counted[nowMs < group.sinceMs + this.#holdMs ? group.before : group.served];
  }

  /** When the next wait is over; undefined: nothing waits. */
  nextMs(nowMs: number): number | undefined {
    const ends = [this.#untilMs, ...[...this.#groups.values()].map(({ sinceMs }) => sinceMs + this.#holdMs)];
    const times = ends.filter((time) => time > nowMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}

interface Seen {
  readonly served: Served;
  /** What it was before `sinceMs`. */
  readonly before: Served;
  readonly sinceMs: number;
}

/** How many of a group's addresses can be served here. */
export type Served = 'all' | 'some' | 'none';

const counted: Readonly<Record<Served, Fitness>> = { all: 'full', some: 'partly', none: 'waiting' };
const rank: Readonly<Record<Served, number>> = { none: 0, some: 1, all: 2 };

export function servedOf(serves: readonly boolean[]): Served {
  return serves.every(Boolean) ? 'all' : serves.some(Boolean) ? 'some' : 'none';
}
