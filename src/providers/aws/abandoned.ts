import { type Code, explain, type Refusal } from '../../errors.ts';
import type { Balancer, Report } from '../../model.ts';
import type { Log } from '../provider.ts';
import { applyAct } from './apply.ts';
import type { Bench } from './bench.ts';
import { shortHash, TAG } from './names.ts';
import type { Observed, SeenBalancer } from './picture.ts';
import { planRemoval } from './plan-removal.ts';
import type { AwsStep } from './steps.ts';

/** AWS will say the same again until somebody changes the Service or the account. */
const HOPELESS: readonly Code[] = [
  'AwsResourceUnknown',
  'AnnotationInvalid',
  'QuotaExceeded',
  'AddressInUse',
  'AwsNameInUse',
  'ProtocolUnsupported',
];
const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 600_000;

interface Entry {
  readonly wish: string;
  readonly refusal: Refusal;
  readonly pauseMs: number;
  readonly until: number;
}

export interface AbandonedParts {
  readonly bench: Bench;
  readonly log: Log;
  /** What is there of a balancer. */
  picture(key: string): Observed;
  /** What was wanted of it last. */
  wishOf(key: string): Balancer | undefined;
}

/**
 * Balancers that AWS refused in the middle of being made: nothing half-built of them stays. They are tried again when the Service
 * changes, and otherwise less and less often, so that a wrong certificate does not make an NLB every few seconds; so are changes of a
 * balancer that serves which cannot be made. As many as there are such balancers.
 */
export class Abandoned {
  readonly #parts: AbandonedParts;
  readonly #entries = new Map<string, Entry>();
  /** Balancers whose NLB this process has begun and that have not been published yet. */
  readonly #making = new Set<string>();

  constructor(parts: AbandonedParts) {
    this.#parts = parts;
  }

  /** Takes away what was made of the balancer that this step is about, if it serves nothing yet and AWS will not change its mind. */
  async consider(step: AwsStep, refusal: Refusal): Promise<void> {
    const key = keyOf(step, this.#parts.bench);
    const wanted = key === undefined ? undefined : this.#parts.wishOf(key);
    if (!wanted || !HOPELESS.includes(refusal.code) || this.#serves(wanted.key)) return;
    this.#remember(wanted, refusal);
    await this.#takeAway(wanted.key);
  }

  /** What serves cannot become what is wanted: that is not tried in every pass, in which nodes could not come or go. */
  refuse(wanted: Balancer, refusal: Refusal): void {
    if (this.#serves(wanted.key)) this.#remember(wanted, refusal);
  }

  #remember(wanted: Balancer, refusal: Refusal): void {
    const wish = describeWish(wanted);
    const had = this.#entries.get(wanted.key);
    const pauseMs = had?.wish === wish ? Math.min(LONGEST_PAUSE_MS, had.pauseMs * 2) : FIRST_PAUSE_MS;
    this.#entries.set(wanted.key, { wish, refusal, pauseMs, until: this.#parts.bench.now() + pauseMs });
  }

  /** A step is about to be applied: what serves nothing so far is only being made from its first NLB on. */
  begin(step: AwsStep): void {
    if (step.kind === 'create-balancer' && !this.#serves(step.key)) this.#making.add(step.key);
  }

  /** Once clients of one of its Services may be told where it is, it is not taken away, though it is not as it was wanted yet. */
  reported(key: string, { addresses, listeners, settled }: Report): void {
    if (settled || (addresses.length > 0 && listeners.length > 0)) this.#making.delete(key);
    if (settled) this.#entries.delete(key);
  }

  /** Why it is not tried now, or undefined. */
  refusalFor(balancer: Balancer): Refusal | undefined {
    const entry = this.#entries.get(balancer.key);
    if (!entry) return undefined;
    if (entry.wish === describeWish(balancer) && this.#parts.bench.now() < entry.until) return entry.refusal;
    this.#entries.set(balancer.key, { ...entry, until: 0 }); // it is on its way again
    return undefined;
  }

  /** Takes away what was still in use. */
  async finish(): Promise<void> {
    for (const key of this.#entries.keys()) {
      const { balancers, groups, securityGroups } = this.#parts.bench.inventory.of(key);
      if (balancers.length + groups.length + securityGroups.length > 0) await this.#takeAway(key);
    }
  }

  /** Balancers that shall be tried again some time. */
  keys(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** Nobody wants it any more. */
  forget(key: string): void {
    this.#making.delete(key);
    this.#entries.delete(key);
  }

  #rests(key: string): boolean {
    return this.#parts.bench.now() < (this.#entries.get(key)?.until ?? 0);
  }

  /** A listener is made last, so a target group that one uses shows that clients may be served. */
  #serves(key: string): boolean {
    if (this.#making.has(key)) return false;
    return this.#parts.bench.inventory.of(key).groups.some(({ balancerArns }) => balancerArns.length > 0);
  }

  async #takeAway(key: string): Promise<void> {
    const { bench, log, picture } = this.#parts;
    const seen = picture(key);
    // Only what serves is worth keeping, and nobody waits for what has never served.
    const mine = { ...seen, moves: [], balancers: seen.balancers.map(withoutRetain) };
    try {
      for (const step of planRemoval(mine, bench.now())) {
        if (!this.#rests(key) || this.#serves(key)) return;
        if (!step.waitsFor) await applyAct(bench, step);
      }
    } catch (thrown) {
      log.warn({ balancer: key, error: explain(thrown) }, 'what was made of it could not be removed; tried again');
    }
  }
}

/** The balancer that a step is about; undefined: what all share, or something that has vanished. */
function keyOf(step: AwsStep, { inventory }: Bench): string | undefined {
  if ('key' in step) return step.key;
  const name = 'balancer' in step ? step.balancer : 'group' in step ? step.group : '';
  const seen = inventory.balancerNamed(name) ?? inventory.groupNamed(name) ?? inventory.securityGroupNamed(name);
  return seen?.tags[TAG.balancer];
}

function withoutRetain(balancer: SeenBalancer): SeenBalancer {
  const { [TAG.retain]: _, ...tags } = balancer.tags;
  return { ...balancer, tags };
}

/** What its author says; nodes come and go without changing AWS's mind. */
function describeWish({ members, listeners, settings, families }: Balancer): string {
  return shortHash(members, listeners, settings, families);
}
