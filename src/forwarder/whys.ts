import type { ForwarderLog } from './rules.ts';

/** Reasons for a data path that are told in the log. */
const MAX_TOLD_WHYS = 20;

/** Tells in the log why listeners are in userspace, each reason once: there may be thousands of listeners. */
export class Whys {
  readonly #log: ForwarderLog;
  readonly #told = new Set<string>();

  constructor(log: ForwarderLog) {
    this.#log = log;
  }

  tell(listener: string, why: string | undefined): void {
    if (why === undefined || this.#told.has(why) || this.#told.size >= MAX_TOLD_WHYS) return;
    this.#told.add(why);
    this.#log.info({ listener, why }, 'data path: userspace for this listener, and for others with the same reason');
  }
}
