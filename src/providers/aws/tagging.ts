import { AddTagsCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { writeTags } from './answers.ts';
import type { AwsCalls } from './calls.ts';
import type { Tags } from './picture.ts';

/** AWS takes as many ARNs at once. */
const ARNS_MAX = 20;
/** So long a call waits for others with the same tags: a node that joins gives all balancers the same one at once. */
const WINDOW_MS = 25;

interface Batch {
  readonly arns: Set<string>;
  readonly sent: Promise<void>;
  send(): void;
}

/** Tags NLBs and target groups; those that get the same tags within a moment share a call. */
export class Tagging {
  readonly #calls: AwsCalls;
  readonly #windowMs: number;
  /** By tags, those that are still open. */
  readonly #open = new Map<string, Batch>();

  constructor(calls: AwsCalls, windowMs = WINDOW_MS) {
    this.#calls = calls;
    this.#windowMs = windowMs;
  }

  async add(arns: readonly string[], tags: Tags): Promise<void> {
    const name = JSON.stringify(tags);
    const open = this.#open.get(name);
    const batch = open && open.arns.size + arns.length <= ARNS_MAX ? open : this.#begin(name, tags);
    for (const arn of arns) batch.arns.add(arn);
    if (batch.arns.size >= ARNS_MAX) batch.send();
    await batch.sent;
  }

  #begin(name: string, tags: Tags): Batch {
    this.#open.get(name)?.send();
    const arns = new Set<string>();
    let release = (): void => {};
    const full = new Promise<void>((resolve) => {
      release = resolve;
    });
    const timer = setTimeout(() => batch.send(), this.#windowMs);
    const send = (): void => {
      clearTimeout(timer);
      if (this.#open.get(name) === batch) this.#open.delete(name);
      release();
    };
    const sent = full.then(async () => {
      const input = { ResourceArns: [...arns], Tags: writeTags(tags) };
      await this.#calls.elb('AddTags', (elb) => elb.send(new AddTagsCommand(input)));
    });
    const batch: Batch = { arns, sent, send };
    this.#open.set(name, batch);
    return batch;
  }
}
