import { CreateTagsCommand } from '@aws-sdk/client-ec2';
import { writeTags } from './answers.ts';
import type { AwsCalls } from './calls.ts';
import type { Inventory } from './inventory.ts';
import { AS_ALL, CHANGING, TAG } from './names.ts';
import type { Goal, SeenBalancer } from './picture.ts';
import type { Tagging } from './tagging.ts';

/** A balancer that does not get its targets in so long holds up the note for the others no longer. */
const LATE_MS = 600_000;

export interface LedgerParts {
  readonly calls: AwsCalls;
  readonly inventory: Inventory;
  readonly tagging: Tagging;
  now(): number;
}

/**
 * The note on the shared group: a fingerprint of the instances that every NLB has which is marked `AS_ALL`. It is taken back before the
 * first of them changes and written anew when all have the same again, so that a node that comes or goes costs two calls beside those
 * that move targets, and a start after a crash knows that it must look.
 */
export class Ledger {
  readonly #parts: LedgerParts;
  /** One at a time: whoever moves targets waits until a note is written that would not know of it. */
  #turn: Promise<void> = Promise.resolve();
  /** Of each balancer that nobody works on now: what it has, or that the note does not speak for it. As many as there are balancers. */
  readonly #standing = new Map<string, { readonly basis: string | undefined }>();
  #restlessAt: number;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    this.#restlessAt = parts.now();
  }

  /** Targets are about to change towards the instances of this fingerprint: what is noted of others must not stand. */
  begin(basis: string): Promise<void> {
    return this.#inTurn(async () => {
      const note = this.#note();
      if (note === undefined || note === basis) return;
      this.#restlessAt = this.#parts.now();
      if (note !== CHANGING) await this.#write(CHANGING);
    });
  }

  /** The balancer has been looked at. */
  stands(key: string, goal: Goal | undefined): void {
    if (goal && (goal.hasTargets || goal.basis === undefined)) this.#standing.set(key, { basis: goal.basis });
    else this.#standing.delete(key);
  }

  /** It is being worked on, or gone. */
  stirs(key: string): void {
    this.#standing.delete(key);
  }

  /** Another has led meanwhile. */
  forget(): void {
    this.#standing.clear();
  }

  /** Writes the note when all that it speaks for have the same targets. Costs no call as long as there is nothing new to say. */
  async settle(): Promise<void> {
    if (this.#note() === CHANGING || this.#isNews()) await this.#inTurn(() => this.#settle());
  }

  #isNews(): boolean {
    const { basis, blocking } = this.#survey();
    return basis !== undefined && basis !== this.#note() && blocking.length === 0;
  }

  async #settle(): Promise<void> {
    const { inventory, tagging, now } = this.#parts;
    const { basis, blocking } = this.#survey();
    if (basis === undefined || basis === this.#note() || !inventory.backend()) return;
    if (blocking.length > 0 && now() - this.#restlessAt < LATE_MS) return;
    const doubtful = blocking.filter(({ tags }) => tags[TAG.targets] === AS_ALL);
    await Promise.all(doubtful.map(({ arn }) => tagging.add([arn], { [TAG.targets]: CHANGING })));
    for (const { arn } of doubtful) {
      const seen = inventory.balancers.get(arn);
      if (seen) inventory.put('balancers', { ...seen, tags: { ...seen.tags, [TAG.targets]: CHANGING } });
    }
    await this.#write(basis);
  }

  /** What most balancers have, and NLBs that have something else, or of which it is not known. */
  #survey(): { readonly basis: string | undefined; readonly blocking: readonly SeenBalancer[] } {
    const living = [...this.#parts.inventory.balancers.values()].filter(({ tags }) => tags[TAG.retired] === undefined);
    const standing = living.map((one) => [one, this.#standing.get(one.tags[TAG.balancer] ?? '')] as const);
    const counts = new Map<string, number>();
    for (const [, stand] of standing) if (stand?.basis !== undefined) counts.set(stand.basis, (counts.get(stand.basis) ?? 0) + 1);
    const [basis] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
    const isClear = (stand: { readonly basis: string | undefined } | undefined): boolean =>
      stand !== undefined && (stand.basis === undefined || stand.basis === basis);
    return { basis, blocking: standing.flatMap(([one, stand]) => (isClear(stand) ? [] : [one])) };
  }

  #note(): string | undefined {
    return this.#parts.inventory.backend()?.tags[TAG.targets];
  }

  async #write(value: string): Promise<void> {
    const { calls, inventory } = this.#parts;
    const backend = inventory.backend();
    if (!backend) return;
    const tags = { [TAG.targets]: value };
    const input = { Resources: [backend.id], Tags: writeTags(tags) };
    await calls.ec2('CreateTags', (ec2) => ec2.send(new CreateTagsCommand(input)));
    const now = inventory.securityGroups.get(backend.id);
    if (now) inventory.put('securityGroups', { ...now, tags: { ...now.tags, ...tags } });
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const next = this.#turn.then(act);
    this.#turn = next.catch(() => {});
    return next;
  }
}
