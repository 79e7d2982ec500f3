import { explain } from '../../errors.ts';
import type { Log } from '../provider.ts';
import { readBalancer } from './answers.ts';
import { findAwaited } from './awaited.ts';
import { isCalled } from './failures.ts';
import type { Inventory } from './inventory.ts';
import { TAG } from './names.ts';
import { sortTargets } from './own-targets.ts';
import type { SeenGroup } from './picture.ts';
import { batches, type Reader } from './reader.ts';

export interface PatrolParts {
  readonly reader: Reader;
  readonly inventory: Inventory;
  readonly log: Log;
  /** What is not settled at AWS is looked at so often. */
  readonly tickMs: number;
  /** The identity sweep, with up to a fifth more by chance. */
  readonly sweepMs: number;
  now(): number;
  sweep(): Promise<void>;
  /** Looks again at what others must put right: a subnet's tag, an Elastic IP. */
  recheck(): Promise<void>;
  /** Takes away what could not be taken away yet. */
  finish(): Promise<void>;
  /** Each NLB is read closely once in this time. */
  readonly closeLookMs: number;
  /** @returns about how many calls it took, and whether something was news */
  lookAgain(balancerArn: string): Promise<{ readonly calls: number; readonly isNews: boolean }>;
  changed(key: string): void;
}

/** AWS takes as many ARNs at once. */
const ARNS_PER_CALL = 20;
/** Target groups looked at in one tick, and for how long beyond its health check one that does not settle is looked at again and again. */
const GROUPS_PER_TICK = 10;
const WATCH_MS = 600_000;
const SLOWEST_MS = 60_000;
/** Close looks take their time: one call a second in all. */
const MS_PER_CALL = 1_000;
/** What was refused is looked at again so often. */
const RECHECK_MS = 30_000;
const UNDECIDED = ['initial', 'unread'];

interface Watch {
  /** When it was first looked at; Infinity: not yet. */
  readonly since: number;
  readonly nextAt: number;
  readonly pauseMs: number;
}

/** Looks after what AWS does in its own time: NLBs until they are active, targets until they have been checked. */
export class Patrol {
  readonly #parts: PatrolParts;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #sweepAt: number;
  /** By target group ARN. */
  readonly #watches = new Map<string, Watch>();
  /** When an NLB is due for a close look, by ARN. */
  readonly #closeLooks = new Map<string, number>();
  #nextCloseLookAt = 0;
  #recheckAt = 0;

  constructor(parts: PatrolParts) {
    this.#parts = parts;
    this.#sweepAt = this.#nextSweep();
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#tick(), this.#parts.tickMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #tick(): Promise<void> {
    try {
      this.#wakeBusy();
      await Promise.all([
        this.#lookAtBalancers(),
        this.#lookAtGroups(),
        this.#sweepIfDue(),
        this.#lookCloselyIfDue(),
        this.#recheckIfDue(),
        this.#parts.finish(),
      ]);
    } catch (thrown) {
      this.#parts.log.debug({ error: explain(thrown) }, 'AWS could not be looked at; tried again');
    }
    if (!this.#stopped) this.start();
  }

  /** One call for every twenty NLBs that are being made, whoever they belong to. */
  async #lookAtBalancers(): Promise<void> {
    const { inventory, reader, changed } = this.#parts;
    const pending = [...inventory.balancers.values()].filter(({ state }) => state === 'provisioning');
    for (const batch of batches(pending, ARNS_PER_CALL)) {
      const found = await reader.balancers({ LoadBalancerArns: batch.map(({ arn }) => arn) });
      for (const answer of found) {
        const had = inventory.balancers.get(answer.LoadBalancerArn ?? '');
        if (!had) continue;
        const { state, zones, dnsName } = readBalancer(answer, had.tags);
        if (state === had.state) continue;
        inventory.put('balancers', { ...had, state, zones, dnsName });
        changed(had.tags[TAG.balancer] ?? '');
      }
    }
  }

  /** AWS checks targets only of a group that a listener uses. Slower each time, and given up when AWS must have made up its mind, if no change waits for it. */
  async #lookAtGroups(): Promise<void> {
    const { inventory, now, tickMs } = this.#parts;
    const awaited = findAwaited(inventory);
    const open = [...inventory.groups.values()].filter((group) => isOpen(group) || awaited.has(group.arn));
    const names = new Set(open.map(({ arn }) => arn));
    for (const arn of this.#watches.keys()) if (!names.has(arn)) this.#watches.delete(arn);
    for (const { arn } of open)
      if (!this.#watches.has(arn)) this.#watches.set(arn, { since: Number.POSITIVE_INFINITY, nextAt: now(), pauseMs: tickMs });
    const due = open
      .filter((group) =>
        isDue(this.#watches.get(group.arn)!, now(), awaited.has(group.arn) ? Number.POSITIVE_INFINITY : watchMs(group)),
      )
      .sort((a, b) => this.#watches.get(a.arn)!.nextAt - this.#watches.get(b.arn)!.nextAt) // who waits longest
      .slice(0, GROUPS_PER_TICK);
    await Promise.all(due.map((group) => this.#lookAtGroup(group)));
  }

  async #lookAtGroup({ arn }: SeenGroup): Promise<void> {
    const { inventory, reader, changed, now } = this.#parts;
    const watch = this.#watches.get(arn)!;
    const pauseMs = Math.min(SLOWEST_MS, watch.pauseMs * 1.5);
    this.#watches.set(arn, { since: Math.min(watch.since, now()), nextAt: now() + watch.pauseMs, pauseMs });
    const before = inventory.groups.get(arn)?.targets;
    try {
      const targets = await reader.targets(arn);
      const had = inventory.groups.get(arn);
      if (!had || had.targets !== before) return; // a write of ours came between
      const sorted = sortTargets(had.tags, targets);
      inventory.groups.set(arn, { ...had, ...sorted, healthAt: now() });
      if (JSON.stringify(sorted.targets) !== JSON.stringify(before)) changed(had.tags[TAG.balancer] ?? '');
    } catch (thrown) {
      if (!isCalled(thrown, 'TargetGroupNotFoundException')) throw thrown;
    }
  }

  async #sweepIfDue(): Promise<void> {
    if (this.#parts.now() < this.#sweepAt) return;
    this.#sweepAt = this.#nextSweep();
    await this.#parts.sweep();
  }

  /** Security groups that were in use when they should go are tried again. */
  #wakeBusy(): void {
    for (const { busyUntil, tags } of this.#parts.inventory.securityGroups.values()) {
      if (busyUntil !== undefined && busyUntil <= this.#parts.now()) this.#parts.changed(tags[TAG.balancer] ?? '');
    }
  }

  async #recheckIfDue(): Promise<void> {
    if (this.#parts.now() < this.#recheckAt) return;
    this.#recheckAt = this.#parts.now() + RECHECK_MS;
    await this.#parts.recheck();
  }

  /** One NLB at a time; all of them within the time, in an order that chance gave them. */
  async #lookCloselyIfDue(): Promise<void> {
    const { inventory, now, closeLookMs, changed } = this.#parts;
    for (const arn of this.#closeLooks.keys()) if (!inventory.balancers.has(arn)) this.#closeLooks.delete(arn);
    for (const arn of inventory.balancers.keys()) {
      if (!this.#closeLooks.has(arn)) this.#closeLooks.set(arn, now() + closeLookMs * Math.random());
    }
    if (now() < this.#nextCloseLookAt) return;
    const [arn] = [...this.#closeLooks].filter(([, at]) => at <= now()).sort(([, a], [, b]) => a - b)[0] ?? [];
    if (arn === undefined) return;
    this.#closeLooks.set(arn, now() + closeLookMs);
    const { calls, isNews } = await this.#parts.lookAgain(arn);
    this.#nextCloseLookAt = now() + calls * MS_PER_CALL;
    const key = inventory.balancers.get(arn)?.tags[TAG.balancer];
    if (isNews && key !== undefined) changed(key);
  }

  #nextSweep(): number {
    return this.#parts.now() + this.#parts.sweepMs * (1 + Math.random() / 5);
  }
}

function isOpen({ targets, balancerArns }: SeenGroup): boolean {
  return balancerArns.length > 0 && (targets ?? []).some(({ state }) => UNDECIDED.includes(state));
}

function isDue({ since, nextAt }: Watch, now: number, forMs: number): boolean {
  return nextAt <= now && now - since < forMs;
}

/** A target is initial for as many checks as it takes to become healthy. */
function watchMs({ check }: SeenGroup): number {
  return WATCH_MS + check.intervalSeconds * check.healthyThreshold * 1_000;
}
