import { isDeepStrictEqual } from 'node:util';
import type { ForwarderReport, ListenerState, TargetState } from './rules.ts';

/** Gathers what changed during a tick and tells it once; what is as it was told before is not told again. */
export class Reports {
  readonly #send: (report: ForwarderReport) => void;
  readonly #toldListeners = new Map<string, ListenerState>();
  readonly #toldTargets = new Map<string, TargetState>();
  #listeners = new Map<string, ListenerState | null>();
  #targets = new Map<string, TargetState | null>();
  readonly #toldWarnings = new Map<string, string>();
  #warnings = new Map<string, string | null>();
  #generation = -1;
  #toldGeneration = -1;
  #scheduled = false;

  constructor(send: (report: ForwarderReport) => void) {
    this.#send = send;
  }

  generation(generation: number): void {
    this.#generation = generation;
    this.#schedule();
  }

  listener(id: string, state: ListenerState | null): void {
    this.#listeners.set(id, state);
    this.#schedule();
  }

  target(key: string, state: TargetState | null): void {
    if (state === null && !this.#toldTargets.has(key) && !this.#targets.has(key)) return;
    this.#targets.set(key, state);
    this.#schedule();
  }

  /** @param message null: it is over */
  warning(code: string, message: string | null): void {
    this.#warnings.set(code, message);
    this.#schedule();
  }

  /** Keys of the targets that were told and not taken back. */
  get toldTargets(): readonly string[] {
    return [...this.#toldTargets.keys()];
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  /** Tells at once what waits for the end of the tick. */
  flush(): void {
    this.#scheduled = false;
    const listeners = takeNews(this.#listeners, this.#toldListeners, isDeepStrictEqual);
    const targets = takeNews(this.#targets, this.#toldTargets, sameTarget);
    const warnings = takeNews(this.#warnings, this.#toldWarnings, Object.is);
    this.#listeners = new Map();
    this.#targets = new Map();
    this.#warnings = new Map();
    const isNews = listeners.length > 0 || targets.length > 0 || warnings.length > 0;
    if (!isNews && this.#generation === this.#toldGeneration) return;
    this.#toldGeneration = this.#generation;
    this.#send({
      generation: this.#generation,
      listeners: Object.fromEntries(listeners),
      targets: Object.fromEntries(targets),
      ...(warnings.length === 0 ? {} : { warnings: Object.fromEntries(warnings) }),
    });
  }
}

/** `asOf` alone is no news. */
function sameTarget(a: TargetState, b: TargetState): boolean {
  return a.health === b.health && a.address === b.address && a.reason === b.reason;
}

function takeNews<T>(
  fresh: ReadonlyMap<string, T | null>,
  told: Map<string, T>,
  same: (a: T, b: T) => boolean,
): [string, T | null][] {
  return [...fresh].filter(([key, value]) => {
    const before = told.get(key);
    if (value === null) return told.delete(key);
    told.set(key, value);
    return before === undefined || !same(before, value);
  });
}
