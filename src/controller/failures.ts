import { explain, Refusal } from '../errors.ts';
import { KubeError } from '../kube/api.ts';
import type { Service } from '../kube/objects.ts';
import type { Log } from '../providers/provider.ts';
import { decideIntent, holds } from './intent.ts';
import type { Desk } from './reconcile.ts';
import { sayRefused } from './status.ts';

/** A pass that failed. */
export interface Failure {
  readonly key: string;
  /** Services that belong to another balancer by now, and wait until this one has let go of them. */
  readonly waiting: readonly Service[];
  readonly thrown: unknown;
  /** In a row, from 1. */
  readonly attempt: number;
  readonly retryMs: number;
}

/** What stands for Services that are refused could not follow the nodes. They are told why they are refused, and not this. */
export class Unfollowed extends Error {
  override readonly name = 'Unfollowed';
}

/** A failure is said on the Service from this attempt on; most are over by the second. */
const TELL_FAILURES = 2;

/** Says in the log, and on every Service that is kept waiting by it, what failed: also on one whose deletion hangs. */
export function tellFailure({ key, waiting, thrown, attempt, retryMs }: Failure, desk: Desk<unknown>, log: Log): void {
  const error = explain(thrown);
  log.warn(
    { balancer: key, attempt, retryMs: Math.round(retryMs), error },
    'a balancer is not as it is wanted; it is tried again',
  );
  if (attempt < TELL_FAILURES || thrown instanceof KubeError || thrown instanceof Unfollowed || desk.dryRun) return; // what the API server refuses cannot be said there
  const why = thrown instanceof Refusal ? thrown : new Refusal('SyncFailed', error.replace(/\.$/, ''));
  const { served, leaving } = decideIntent(desk.inputFor(key));
  for (const service of [...served, ...leaving.map((left) => left.service).filter(holds), ...waiting]) {
    desk.writer.sayNotReady(service, why);
    desk.writer
      .say(service, sayRefused(why))
      .catch((again) => log.debug({ error: explain(again) }, 'a failure could not be said on its Service'));
  }
}
