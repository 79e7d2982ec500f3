import { isIPv4 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ForwarderLog } from '../../forwarder/rules.ts';
import { runCommand } from './command.ts';
import { labelOf, type Placed } from './render.ts';

/**
 * An address is on its link for so long, and up to a quarter of a second longer; whoever holds it renews that. The kernel counts in whole
 * seconds. Another agent has it within 0.8 s, so that two have it for less than half a second. Should a renewal come too late,
 * keepalived puts the address back within some milliseconds.
 */
const LOAN_SECONDS = 1;
/** Two renewals may fail or come late. */
const RENEW_MS = 250;
/** By then keepalived's word of a change is here. */
const NEWS_MS = 1_000;
/** keepalived, when an address of its own has gone, gives it up and takes it again within this: taken off then, it would go on so for ever. */
const CALM_MS = 200;

/**
 * Has the kernel itself take an address away when nobody is left who would: killed with its whole container, or out of memory,
 * neither agent nor keepalived can. An address that is held gets a lifetime, renewed as long as the agent lives.
 */
export class Loans {
  readonly #log: ForwarderLog;
  readonly #held: () => readonly Placed[];
  readonly #timer: NodeJS.Timeout;
  #renewing: Promise<void> = Promise.resolve();
  #isBusy = false;
  #hasFailed = false;
  #endedMs = Number.NEGATIVE_INFINITY;

  /** @param held what this agent holds just now, asked before each renewal */
  constructor(held: () => readonly Placed[], log: ForwarderLog) {
    this.#held = held;
    this.#log = log;
    this.#timer = setInterval(() => this.renew(), RENEW_MS);
  }

  /** Renews everything, unless it is just being done. */
  renew(): void {
    const held = this.#held();
    if (this.#isBusy || held.length === 0) return;
    this.#isBusy = true;
    this.#renewing = runIp(held.map(lend)).then(
      () => this.#ended(undefined),
      (error: unknown) => this.#ended(error),
    );
  }

  /**
   * Takes addresses off their links that are not held any more: a renewal that was under way when keepalived took one away has put it
   * back. @param isStill whether it is still so when the renewal has ended
   */
  async recall(gone: readonly Placed[], isStill: () => boolean): Promise<void> {
    if (gone.length === 0 || (!this.#isBusy && performance.now() - this.#endedMs > NEWS_MS)) return;
    await Promise.all([this.#renewing, sleep(CALM_MS, undefined, { ref: false })]);
    if (isStill()) await runIp(gone.map(takeOff)).catch(() => {}); // most are not there
  }

  /** Lends nothing any more. Resolves when no renewal is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewing;
  }

  #ended(error: unknown): void {
    this.#isBusy = false;
    this.#endedMs = performance.now();
    if (error !== undefined && !this.#hasFailed) this.#log.warn({ error }, 'the lifetime of an address could not be renewed');
    this.#hasFailed = error !== undefined;
  }
}

/** A line of `ip -batch`. An IPv6 address of one host stays deprecated, as keepalived makes it, so that nothing is sent from it unasked. */
export function lend({ address, interface: name }: Placed): string {
  const [prefix, preferred] = isIPv4(address) ? [32, LOAN_SECONDS] : [128, 0];
  const label = isIPv4(address) ? labelOf(name) : undefined;
  const labelled = label === undefined ? '' : ` label ${label}`;
  return `addr change ${address}/${prefix} dev ${name}${labelled} valid_lft ${LOAN_SECONDS} preferred_lft ${preferred}`;
}

function takeOff({ address, interface: name }: Placed): string {
  return `addr del ${address}/${isIPv4(address) ? 32 : 128} dev ${name}`;
}

async function runIp(lines: readonly string[]): Promise<void> {
  await runCommand('ip', ['-force', '-batch', '-'], `${lines.join('\n')}\n`);
}
