import type { Reports } from '../reports.ts';
import { readConntrackFill } from './conntrack.ts';

/** Of the table of tracked connections; beyond it somebody should be told. */
const NEARLY_FULL = 0.9;

/** Warns of a table of tracked connections that is nearly full, and of the missing command that cleans it. */
export function warnOfConntrack(reports: Reports, isCommandMissing: boolean): void {
  reports.warning('ConntrackFull', sayFull(readConntrackFill()));
  const without = 'the command conntrack is missing: flows of UDP stay at targets that went, and drained connections are not cut';
  reports.warning('ConntrackMissing', isCommandMissing ? without : null);
}

/** Pure. @returns null: there is room */
export function sayFull(fill: ReturnType<typeof readConntrackFill>): string | null {
  if (fill === undefined || fill.entries < fill.limit * NEARLY_FULL) return null;
  return `the kernel tracks ${fill.entries} connections and has room for ${fill.limit}; beyond that it drops new ones`;
}
