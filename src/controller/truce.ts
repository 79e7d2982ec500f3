import { FIELD_MANAGER } from '../kube/api.ts';
import type { Service } from '../kube/objects.ts';
import { type Said, sameIngress } from './status.ts';

/** Ends fights over a status: whoever writes over ours again and again is another controller, and is let have its way. */
export interface Truce {
  /**
   * Asked in each pass before the status is published.
   * @returns who has written it last, when that is to stand, and for how many milliseconds; undefined: ours is written
   */
  yieldTo(service: Service, said: Said): { readonly manager: string; readonly forMs: number } | undefined;
}

/** Somebody who edits a status by hand does so once or twice; a controller writes again each time. */
const WRITTEN_OVER = 4;
const WITHIN_MS = 60_000;
/** Then we try once more whether it still insists. */
const REST_MS = 600_000;

interface Fight {
  /** When ours was found written over, milliseconds since the epoch; at most WRITTEN_OVER. */
  times: readonly number[];
  restUntil: number;
}

/** @param now milliseconds since the epoch */
export function makeTruce(now: () => number): Truce {
  const fights = new Map<string, Fight>(); // by UID; what is over is forgotten with the next fight

  function forgetOld(): void {
    for (const [uid, { times, restUntil }] of fights) {
      if (now() - Math.max(restUntil, times.at(-1) ?? 0) > REST_MS) fights.delete(uid);
    }
  }

  return {
    yieldTo(service, { ingress }) {
      const manager = service.statusManagers.find((name) => name !== FIELD_MANAGER);
      const isTheirs = manager !== undefined && service.ingress.length > 0 && ingress !== undefined;
      if (!isTheirs || sameIngress(service.ingress, ingress)) return undefined;
      forgetOld();
      const at = now();
      const fight = fights.get(service.uid) ?? { times: [], restUntil: 0 };
      if (at < fight.restUntil) return { manager, forMs: fight.restUntil - at };
      const isSecondRound = fight.restUntil > 0;
      fight.times = [...fight.times.filter((time) => at - time < WITHIN_MS), at].slice(-WRITTEN_OVER);
      fights.set(service.uid, fight);
      const limit = isSecondRound ? 2 : WRITTEN_OVER;
      if (fight.times.length < limit) return undefined;
      fight.restUntil = at + REST_MS;
      fight.times = [];
      return { manager, forMs: REST_MS };
    },
  };
}
