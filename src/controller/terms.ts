import { explain } from '../errors.ts';
import type { Log, Provider, ProviderStart } from '../providers/provider.ts';
import type { Carriers } from './carriers.ts';
import type { Queue } from './queue.ts';

export interface TermOptions {
  readonly provider: Provider;
  /** What the provider is opened with, as the cluster is now. */
  describeStart(): ProviderStart;
  readonly carriers: Carriers;
  readonly queue: Queue;
  /** Puts every balancer into the queue. */
  addAll(): void;
  readonly log: Log;
}

/** The times in which this process leads: what begins each of them, and what ends it. */
export interface Terms {
  gained(): void;
  /** Resolves when the work under way has ended. */
  lost(): Promise<void>;
  /** Resolves when the first term has begun its work; rejects when the provider cannot be opened. */
  readonly begun: Promise<void>;
  /** Whether the provider has been opened. */
  opened(): boolean;
  /** Whether this process leads, and has not begun its work yet. */
  beginning(): boolean;
  /** No term begins any more; waits for a provider that is being opened, but not for long. */
  end(): Promise<void>;
}

/** A provider that does not get done with opening is not waited for at the end. */
const END_MS = 2_000;

/**
 * The provider is opened when the first term begins, and not before: who only waits asks no cloud for anything, and what is read
 * then is what the leader before has left. Later terms are told to the provider, since another may have led between them.
 */
export function makeTerms({ provider, describeStart, carriers, queue, addAll, log }: TermOptions): Terms {
  const begun = Promise.withResolvers<void>();
  begun.promise.catch(() => {}); // told to whoever waits for it
  let term = 0; // a number for each gain and each loss
  let isOpen = false;
  let isBeginning = false;
  let last = Promise.resolve();

  async function begin(mine: number): Promise<void> {
    if (mine !== term) return;
    if (!isOpen) await open();
    await lead();
    if (mine !== term) return;
    addAll(); // another leader may have done anything meanwhile
    queue.start();
    isBeginning = false;
    begun.resolve();
  }

  async function open(): Promise<void> {
    await provider.open(describeStart());
    isOpen = true;
  }

  async function lead(): Promise<void> {
    try {
      await provider.lead?.(describeStart());
    } catch (thrown) {
      log.warn({ error: explain(thrown) }, 'what the provider has could not be read anew; each pass looks again');
    }
    for (const key of await provider.keys()) {
      carriers.note(key, provider.report(await provider.observe(key)));
      queue.add(key);
    }
  }

  return {
    begun: begun.promise,
    opened: () => isOpen,
    beginning: () => isBeginning,
    gained() {
      const mine = ++term;
      isBeginning = true;
      last = last.then(() => begin(mine)).catch(begun.reject);
    },
    async lost() {
      term += 1;
      isBeginning = false;
      await queue.pause();
    },
    async end() {
      term += 1;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, END_MS);
      });
      await Promise.race([last, late]).finally(() => clearTimeout(timer));
    },
  };
}
