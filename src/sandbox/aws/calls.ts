/** One call, as it came over the wire: a retry is a call. */
export interface Call {
  /** The account's clock, in ms. */
  readonly atMs: number;
  readonly service: string;
  readonly action: string;
  /** The code of the failure that was answered, `cut`, or undefined: it went well. */
  readonly failure: string | undefined;
  /** The parameters by their full names, without Action and Version. */
  readonly parameters: Readonly<Record<string, string>>;
}

const MAX_CALLS = 20_000; // the oldest are forgotten; the counts go on

/** What has been called. */
export class Calls {
  #log: Call[] = [];
  readonly #counts = new Map<string, number>();
  readonly #watchers = new Set<(call: Call) => void>();

  /** Told of each call right after the account has acted, before anybody else can call. @returns ends it */
  watch(told: (call: Call) => void): () => void {
    this.#watchers.add(told);
    return () => this.#watchers.delete(told);
  }

  add(call: Call): void {
    for (const told of this.#watchers) told(call);
    this.#log.push(call);
    if (this.#log.length > MAX_CALLS) this.#log = this.#log.slice(MAX_CALLS / 2);
    this.#counts.set(call.action, (this.#counts.get(call.action) ?? 0) + 1);
  }

  /** By action, of all calls since the start or the last reset. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The latest, oldest first; at most 20,000. */
  log(): readonly Call[] {
    return this.#log;
  }

  reset(): void {
    this.#log = [];
    this.#counts.clear();
  }
}
