import type { NodeEntry } from './targets.ts';

/**
 * Probes begun in a second over all nodes and listeners, at most. 1,000 listeners on 100 nodes want 10,000 a second of their
 * NodePort checks alone; above the ceiling the intervals stretch, and the shared checks of the nodes come first.
 */
export const MAX_PROBES_PER_SECOND = 250;

/** Looks that may wait at once; what does not fit is looked at in its turn. */
const MAX_QUEUED = 50_000;

/** What may be saved up for a burst: the first checks of a small cluster all begin at once. */
const BURST_PROBES = 100;

/** A target to be looked at. */
export interface Task<C> {
  readonly check: C;
  readonly node: NodeEntry;
}

/** Hands out permission to begin a probe, MAX_PROBES_PER_SECOND of them. */
export class Budget {
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = Math.min(BURST_PROBES, perSecond);
    this.#atMs = nowMs;
  }

  /** Whole probes that may begin now. */
  available(nowMs: number): number {
    const earned = ((nowMs - this.#atMs) / 1_000) * this.#perSecond;
    this.#atMs = nowMs;
    this.#tokens = Math.min(Math.min(BURST_PROBES, this.#perSecond), this.#tokens + earned);
    return Math.max(0, Math.floor(this.#tokens));
  }

  /** May go below zero: a check that began may need a few more probes, and pays for them later. */
  spend(probes: number): void {
    this.#tokens -= probes;
  }
}

/** Tasks by the time when they are due; as many as wait at one time share one list, not a timer each. */
export class DueQueue<T> {
  readonly #slotMs: number;
  readonly #later = new Map<number, T[]>();
  #ready: T[] = [];
  #head = 0;
  #size = 0;
  #slot: number;

  constructor(slotMs: number, nowMs: number) {
    this.#slotMs = slotMs;
    this.#slot = Math.floor(nowMs / slotMs);
  }

  get size(): number {
    return this.#size;
  }

  /** @returns false when the queue is full */
  add(task: T, dueMs: number): boolean {
    if (this.#size >= MAX_QUEUED) return false;
    this.#size++;
    const slot = Math.ceil(dueMs / this.#slotMs);
    const list = slot <= this.#slot ? this.#ready : (this.#later.get(slot) ?? []);
    list.push(task);
    if (slot > this.#slot) this.#later.set(slot, list);
    return true;
  }

  /** The task that waits longest, if one is due. */
  take(nowMs: number): T | undefined {
    this.#advance(Math.floor(nowMs / this.#slotMs));
    const task = this.#ready[this.#head];
    if (!task) return undefined;
    this.#head++;
    this.#size--;
    if (this.#head === this.#ready.length) {
      this.#ready = [];
      this.#head = 0;
    }
    return task;
  }

  #advance(to: number): void {
    if (this.#later.size === 0) {
      this.#slot = Math.max(this.#slot, to);
      return;
    }
    while (this.#slot < to) {
      this.#slot++;
      const due = this.#later.get(this.#slot);
      if (!due) continue;
      this.#later.delete(this.#slot);
      for (const task of due) this.#ready.push(task);
    }
  }
}

/** Walks over all targets of the checks with one interval, again and again, at an even pace. */
export class Round<C extends { readonly members: readonly NodeEntry[] }> {
  readonly #intervalMs: number;
  readonly #checks: C[] = [];
  #check = 0;
  #member = 0;
  #credit = 0;
  #atMs: number;

  constructor(intervalMs: number, nowMs: number) {
    this.#intervalMs = intervalMs;
    this.#atMs = nowMs;
  }

  get isEmpty(): boolean {
    return this.#checks.length === 0;
  }

  add(check: C): void {
    this.#checks.push(check);
  }

  remove(check: C): void {
    const i = this.#checks.indexOf(check);
    if (i < 0) return;
    this.#checks.splice(i, 1);
    if (i < this.#check) this.#check--;
    if (this.#check >= this.#checks.length) this.#check = 0;
  }

  /** The targets whose turn it is, at most so many. What is late is late: nothing is made up for. */
  take(nowMs: number, atMost: number): Task<C>[] {
    const size = this.#checks.reduce((sum, check) => sum + check.members.length, 0);
    this.#credit = Math.min(size, atMost + 1, this.#credit + (size * (nowMs - this.#atMs)) / this.#intervalMs);
    this.#atMs = nowMs;
    const tasks: Task<C>[] = [];
    while (tasks.length < atMost && this.#credit >= 1) {
      const task = this.#next();
      if (!task) break;
      this.#credit--;
      tasks.push(task);
    }
    return tasks;
  }

  #next(): Task<C> | undefined {
    for (let looked = 0; looked <= this.#checks.length; looked++) {
      const check = this.#checks[this.#check];
      const node = check?.members[this.#member++];
      if (check && node) return { check, node };
      this.#member = 0;
      this.#check = this.#checks.length === 0 ? 0 : (this.#check + 1) % this.#checks.length;
    }
    return undefined;
  }
}
