import { isDeepStrictEqual } from 'node:util';
import type { ForwarderReport, ListenerState, TargetState } from './rules.ts';

/** Gathers what changed during a tick and tells it once; what is as it was told before is not told again. */
export class Reports {
  readonly #send: (report: ForwarderReport) => void;
  #toldListeners = new Map<string, ListenerState>();
  readonly #toldTargets = new Map<string, TargetState>();
  #listeners = new Map<string, ListenerState | null>();
  #foretold: Foretold | undefined;
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

  /**
   * Gets many listeners' states ready while it is not certain yet that they come about.
   * @param states belong to this object from now on
   * @returns tells them, if it is called
   */
  foretell(states: Map<string, ListenerState>): () => void {
    const foretold = { states, record: Object.fromEntries(states) };
    return () => {
      // Nothing that was told before, or waits to be, is to be compared with them.
      if (this.#toldListeners.size === 0 && this.#listeners.size === 0) this.#foretold = foretold;
      else states.forEach((state, id) => void this.#listeners.set(id, state));
      this.#schedule();
    };
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

  #takeListeners(): ForwarderReport['listeners'] {
    const [fresh, foretold] = [this.#listeners, this.#foretold];
    this.#listeners = new Map();
    this.#foretold = undefined;
    if (foretold) this.#toldListeners = foretold.states;
    const news = takeNews(fresh, this.#toldListeners, isDeepStrictEqual);
    if (foretold && news.length === 0) return foretold.record;
    if (foretold) return { ...foretold.record, ...Object.fromEntries(news) };
    return news.length === 0 ? none : Object.fromEntries(news);
  }

  /** Tells at once what waits for the end of the tick. */
  flush(): void {
    this.#scheduled = false;
    const listeners = this.#takeListeners();
    const targets = takeNews(this.#targets, this.#toldTargets, sameTarget);
    const warnings = takeNews(this.#warnings, this.#toldWarnings, Object.is);
    this.#targets = new Map();
    this.#warnings = new Map();
    const isNews = listeners !== none || targets.length > 0 || warnings.length > 0;
    if (!isNews && this.#generation === this.#toldGeneration) return;
    this.#toldGeneration = this.#generation;
    this.#send({
      generation: this.#generation,
      listeners,
      targets: Object.fromEntries(targets),
      ...(warnings.length === 0 ? {} : { warnings: Object.fromEntries(warnings) }),
    });
  }
}

interface Foretold {
  readonly states: Map<string, ListenerState>;
  readonly record: ForwarderReport['listeners'];
}

/** No listeners. */
const none: ForwarderReport['listeners'] = {};

/** `asOf` alone is no news. */
function sameTarget(a: TargetState, b: TargetState): boolean {
  return a.health === b.health && a.address === b.address && a.reason === b.reason;
}

function takeNews<T>(
  fresh: ReadonlyMap<string, T | null>,
  told: Map<string, T>,
  same: (a: T, b: T) => boolean,
): [string, T | null][] {
  const news: [string, T | null][] = [];
  fresh.forEach((value, key) => {
    const before = told.get(key);
    if (value !== null) told.set(key, value);
    if (value === null ? told.delete(key) : before === undefined || !same(before, value)) news.push([key, value]);
  });
  return news;
}
