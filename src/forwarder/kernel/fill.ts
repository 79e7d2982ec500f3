import type { Reports } from '../reports.ts';
import { readConntrackFill } from './conntrack.ts';

/** Of the table of tracked connections: from here on it is told, until no more than that is taken. */
const NEARLY_FULL = 0.9;
const ROOM_AGAIN = 0.8;

export type Fill = ReturnType<typeof readConntrackFill>;

/** Warns of a table of tracked connections that is nearly full, and of the missing command that cleans it. */
export class FillWatch {
  #told: string | null = null;

  /** @param fill how full the table is; undefined: the kernel does not say */
  look(reports: Pick<Reports, 'warning'>, isCommandMissing: boolean, fill: Fill = readConntrackFill()): void {
    this.#told = sayFull(fill, this.#told !== null);
    reports.warning('ConntrackFull', this.#told);
    const without =
      'the command conntrack is missing: flows of UDP stay at targets that went, and drained connections are not cut';
    reports.warning('ConntrackMissing', isCommandMissing ? without : null);
  }
}

/**
 * Pure. The same text while the limit is the same: metrics have the figures.
 * @param wasFull it was told before @returns null: there is room
 */
export function sayFull(fill: Fill, wasFull = false): string | null {
  if (fill === undefined || fill.entries < fill.limit * (wasFull ? ROOM_AGAIN : NEARLY_FULL)) return null;
  return `the kernel has room for ${fill.limit} tracked connections, nearly all of it is taken, and beyond it new ones are dropped`;
}
