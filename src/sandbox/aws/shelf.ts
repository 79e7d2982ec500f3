interface Kept<T> {
  readonly thing: T;
  readonly bornAt: number;
  goneAt: number | undefined;
}

/** How reads lag behind writes. */
export interface Lag {
  /** ms since any fixed moment */
  readonly now: () => number;
  /** ms until a read sees what was written; 0: at once */
  readonly lagMs: number;
}

/**
 * Things by id. Writes act on what is there (`get`); reads see what was there a little earlier (`seen`), as AWS's do: what is new is not
 * found yet, and what is deleted is still told.
 */
export class Shelf<T> {
  readonly #kept = new Map<string, Kept<T>>();
  readonly #lag: Lag;

  constructor(lag: Lag) {
    this.#lag = lag;
  }

  /** @param bornAt for what was there before the sandbox started: -Infinity */
  put(id: string, thing: T, bornAt = this.#lag.now()): void {
    this.#kept.set(id, { thing, bornAt, goneAt: undefined });
  }

  /** Nothing happens when it is not there. */
  remove(id: string): void {
    const kept = this.#kept.get(id);
    if (!kept || kept.goneAt !== undefined) return;
    if (this.#lag.lagMs === 0) this.#kept.delete(id);
    else kept.goneAt = this.#lag.now();
  }

  get(id: string): T | undefined {
    const kept = this.#kept.get(id);
    return kept && kept.goneAt === undefined ? kept.thing : undefined;
  }

  *all(): Generator<T> {
    for (const kept of this.#kept.values()) if (kept.goneAt === undefined) yield kept.thing;
  }

  find(is: (thing: T) => boolean): T | undefined {
    for (const thing of this.all()) if (is(thing)) return thing;
    return undefined;
  }

  get size(): number {
    let count = 0;
    for (const _ of this.all()) count++;
    return count;
  }

  /** What a read finds by its id. */
  seen(id: string): T | undefined {
    const kept = this.#kept.get(id);
    return kept && this.#isSeen(kept) ? kept.thing : undefined;
  }

  /** What a read finds, oldest first. */
  allSeen(): readonly T[] {
    const seen: T[] = [];
    for (const [id, kept] of this.#kept) {
      if (this.#isSeen(kept)) seen.push(kept.thing);
      else if (kept.goneAt !== undefined) this.#kept.delete(id);
    }
    return seen;
  }

  #isSeen({ bornAt, goneAt }: Kept<T>): boolean {
    const then = this.#lag.now() - this.#lag.lagMs;
    return bornAt <= then && (goneAt === undefined || goneAt > then);
  }
}
