import type { ForwarderCounters, ForwarderReport, Parting, Rules, RulesChange } from './rules.ts';

/** What the controller's process says to the forwarder's. */
export type ToForwarder =
  /** The first of all, if anything: take over what the forwarder at the path has, and give it to the next one there. */
  | { readonly type: 'succeed'; readonly path: string }
  | { readonly type: 'apply'; readonly next: Rules | RulesChange }
  | { readonly type: 'counters'; readonly request: number }
  | { readonly type: 'close'; readonly drainMs?: number; readonly parting?: Parting };

/** What the forwarder's process says back. */
export type FromForwarder =
  | { readonly type: 'report'; readonly report: ForwarderReport }
  | { readonly type: 'counters'; readonly request: number; readonly counters: ForwarderCounters }
  /** The change did not fit what this process has: it needs whole rules. */
  | { readonly type: 'resend'; readonly why: string }
  /** Another forwarder has taken over; this process ends when its connections have ended. */
  | { readonly type: 'succeeded' }
  | { readonly type: 'log'; readonly level: LogLevel; readonly fields: object; readonly message: string };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
