import type { Ground } from './ground.ts';
import { canonical } from './kernel/plan.ts';
import { formatEndpoint } from './problems.ts';
import type { RuleListener } from './rules.ts';
import type { Endpoint } from './targets.ts';

/**
 * Tells that a listener's target is the listener itself, once for each set of targets that has it, where that shows only when a client
 * comes: addresses of this machine are not all known, and a wildcard has all of them.
 */
export class Loop {
  readonly #id: string;
  readonly #ground: Ground;
  #isTold = false;

  constructor(id: string, ground: Ground) {
    this.#id = id;
    this.#ground = ground;
  }

  /** A client would have been sent to this target. @param targets of the listener; as long as there are others, they serve */
  met({ address, port }: Endpoint, targets: number): void {
    if (this.#isTold || this.leadsBack({ address, port })) return; // else it was told when it came to be
    this.#isTold = true;
    const message = `its target ${formatEndpoint(address, port)} is this listener itself`;
    this.#ground.log.warn({ listener: this.#id }, `${message}, and is passed over`);
    if (targets === 1) this.#ground.reports.listener(this.#id, { state: 'failed', code: 'TargetLoops', message });
  }

  /** Whether it is known that what goes there comes back here. */
  leadsBack(endpoint: Endpoint): boolean {
    return this.#ground.loops.leadsBack(this.#id, endpoint);
  }

  /** Tells that the listener serves there, or that all that it is asked would come back to it. */
  tellListening(rule: RuleListener, port: number): void {
    const fault = this.#ground.loops.faultOf(this.#id);
    const listening = { state: 'listening', address: rule.address, port, ...this.#ground.pathOf(rule) } as const;
    this.#ground.reports.listener(this.#id, fault ? { state: 'failed', ...fault } : listening);
  }

  /** The targets may be others. @returns whether something was told */
  over(): boolean {
    const wasTold = this.#isTold;
    this.#isTold = false;
    return wasTold;
  }
}

/** Pure. Whether a target's address is the one that a client has come to. @param at `::ffff:10.0.0.1` is 10.0.0.1 */
export function isAt(target: string, at: string | undefined): boolean {
  return at !== undefined && canonical(target) === canonical(at.replace(/^::ffff:(?=\d+\.)/i, ''));
}
