/** More edits than this share of the base, and both become one map again: that copy is paid for by the changes that needed none. */
const EDITS_PER_ENTRY = 1 / 16;
/** A map this small is copied. */
const SMALL = 64;

/** What is put in, by key; undefined: taken out. */
export type Edits<V> = ReadonlyMap<string, V | undefined>;

/**
 * Pure. A map with edits; the one before stays as it was. Costs as much as the edits, not as the map, for all but one call in many.
 * @param edits never changed from now on
 */
export function patch<V extends {}>(before: ReadonlyMap<string, V>, edits: Edits<V>): ReadonlyMap<string, V> {
  if (edits.size === 0) return before;
  if (before.size === 0 && takesNothingOut(edits)) return edits;
  const patched = before instanceof Patched ? before.with(edits) : new Patched<V>(before, edits);
  return patched.isWorthwhile ? patched : patched.flat();
}

function takesNothingOut<V extends {}>(edits: Edits<V>): edits is ReadonlyMap<string, V> {
  for (const value of edits.values()) if (value === undefined) return false;
  return true;
}

/** A map that is never changed, and what differs from it. What has come is behind what was there. */
class Patched<V extends {}> implements ReadonlyMap<string, V> {
  readonly #base: ReadonlyMap<string, V>;
  readonly #edits: Edits<V>;
  readonly size: number;

  constructor(base: ReadonlyMap<string, V>, edits: Edits<V>) {
    this.#base = base;
    this.#edits = edits;
    let size = base.size;
    edits.forEach((value, key) => {
      size += Number(value !== undefined) - Number(base.has(key));
    });
    this.size = size;
  }

  get isWorthwhile(): boolean {
    return this.#base.size > SMALL && this.#edits.size <= this.#base.size * EDITS_PER_ENTRY;
  }

  with(more: Edits<V>): Patched<V> {
    const edits = new Map(this.#edits);
    more.forEach((value, key) => void edits.set(key, value));
    return new Patched(this.#base, edits);
  }

  flat(): ReadonlyMap<string, V> {
    const map = new Map(this.#base);
    this.#edits.forEach((value, key) => {
      if (value === undefined) map.delete(key);
      else map.set(key, value);
    });
    return map;
  }

  get(key: string): V | undefined {
    const edit = this.#edits.get(key);
    return edit === undefined && !this.#edits.has(key) ? this.#base.get(key) : edit;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  *entries(): Generator<[string, V], undefined> {
    for (const entry of this.#base) {
      const [key] = entry;
      if (!this.#edits.has(key)) {
        yield entry;
        continue;
      }
      const value = this.#edits.get(key);
      if (value !== undefined) yield [key, value];
    }
    for (const [key, value] of this.#edits) if (value !== undefined && !this.#base.has(key)) yield [key, value];
    return undefined;
  }

  *keys(): Generator<string, undefined> {
    for (const [key] of this.entries()) yield key;
    return undefined;
  }

  *values(): Generator<V, undefined> {
    for (const [, value] of this.entries()) yield value;
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, V], undefined> {
    return this.entries();
  }

  forEach(visit: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this);
  }
}
