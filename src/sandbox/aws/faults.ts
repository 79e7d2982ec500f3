import type { Saying } from './words.ts';

/** Something that goes wrong on purpose. */
export interface Fault {
  /** `CreateListener`, or `*` for all. */
  readonly action: string;
  /** Only calls that change something. */
  readonly writes?: boolean;
  /** So many calls that it could meet go by first; default 0. */
  readonly after?: number;
  /** How often; undefined: until it is taken back. */
  readonly times?: number;
  /** From 0 to 1, of the calls that it could meet; default 1. */
  readonly probability?: number;
  /** Only calls whose body holds this text, decoded; for instance a name. */
  readonly containing?: string;
  /** What is answered, in the service's own words. */
  readonly says?: Saying;
  /** What is answered instead, by its code: `PriorRequestNotComplete`. */
  readonly code?: string;
  readonly message?: string;
  readonly status?: number;
  /** Before anything else happens. */
  readonly delayMs?: number;
  /** The connection is cut: before AWS acts, or after it has acted and before the answer. */
  readonly cut?: 'before' | 'after';
}

export interface Injected {
  /** Calls that it met. */
  readonly met: () => number;
  readonly remove: () => void;
}

interface Armed {
  readonly fault: Fault;
  met: number;
  passed: number;
}

const MAX_FAULTS = 1000;

/** Faults that are armed, in the order that they came. A call meets the first that is meant for it. */
export class Faults {
  readonly #armed = new Set<Armed>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  inject(fault: Fault): Injected {
    if (this.#armed.size >= MAX_FAULTS) throw new Error(`${MAX_FAULTS} faults are armed already; remove some`);
    const armed: Armed = { fault, met: 0, passed: 0 };
    this.#armed.add(armed);
    return { met: () => armed.met, remove: () => this.#armed.delete(armed) };
  }

  /** The fault that this call meets; it counts as met. */
  meet(action: string, body: string): Fault | undefined {
    for (const armed of this.#armed) {
      const { fault } = armed;
      if (fault.action !== '*' && fault.action !== action) continue;
      if (fault.writes && action.startsWith('Describe')) continue;
      if (fault.containing !== undefined && !decode(body).includes(fault.containing)) continue;
      if (this.#random() >= (fault.probability ?? 1)) continue;
      if (armed.passed++ < (fault.after ?? 0)) continue;
      armed.met++;
      if (fault.times !== undefined && armed.met >= fault.times) this.#armed.delete(armed);
      return fault;
    }
    return undefined;
  }
}

function decode(body: string): string {
  return [...new URLSearchParams(body).values()].join('\n');
}

/** Numbers from 0 to 1 that are the same each time (mulberry32). */
export function repeatableChance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
