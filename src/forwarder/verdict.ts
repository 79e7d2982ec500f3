/**
 * What is known of a node or a target. Small numbers, because there may be 100,000 of them in typed arrays.
 * - untried: no check has answered yet
 * - failing: new, and failed so far; not settled, so it is reported as unknown
 * - suspect: was healthy and has just failed; gets traffic last, and is checked again at once
 */
export const verdicts = { absent: 0, untried: 1, failing: 2, healthy: 3, suspect: 4, unhealthy: 5 } as const;

export type Verdict = (typeof verdicts)[keyof typeof verdicts];

export interface Judgement {
  readonly verdict: Verdict;
  /** Passes or failures in a row that do not yet count. */
  readonly streak: number;
}

export interface Thresholds {
  /** Passes in a row that make an unhealthy one healthy. What is new needs one. */
  readonly rise: number;
  /** Failures in a row that make a healthy one unhealthy. */
  readonly fall: number;
  /** Failures in a row that make a new one unhealthy. */
  readonly freshFall: number;
}

/** Pure. What is known after one more answer. */
export function judge(before: Judgement, passed: boolean, thresholds: Thresholds): Judgement {
  return passed ? afterPass(before, thresholds) : afterFailure(before, thresholds);
}

function afterPass({ verdict, streak }: Judgement, { rise }: Thresholds): Judgement {
  if (verdict !== verdicts.unhealthy) return { verdict: verdicts.healthy, streak: 0 };
  return streak + 1 >= rise ? { verdict: verdicts.healthy, streak: 0 } : { verdict, streak: streak + 1 };
}

function afterFailure({ verdict, streak }: Judgement, { fall, freshFall }: Thresholds): Judgement {
  if (verdict === verdicts.unhealthy) return { verdict, streak: 0 };
  const fresh = verdict === verdicts.untried || verdict === verdicts.failing;
  const failures = verdict === verdicts.failing || verdict === verdicts.suspect ? streak + 1 : 1;
  if (failures >= (fresh ? freshFall : fall)) return { verdict: verdicts.unhealthy, streak: 0 };
  return { verdict: fresh ? verdicts.failing : verdicts.suspect, streak: failures };
}

export interface TargetFacts {
  readonly node: Verdict;
  readonly nodePort: Verdict;
  /** Of the listener's own `tcp` or `http` check; undefined: it has none. */
  readonly own: Verdict | undefined;
  readonly localOnly: boolean;
}

/**
 * Pure. Whether a target gets traffic in its turn (`up`), only when nobody else is left (`spare`), or never (`down`).
 * A NodePort that no check has looked at yet is taken to be as its node is; with `localOnly` only a pass counts.
 */
export function standing({ node, nodePort, own, localOnly }: TargetFacts): 'up' | 'spare' | 'down' {
  if (localOnly) return localStanding(node, own ?? nodePort);
  const fine = node === verdicts.healthy && isFine(nodePort) && (own === undefined || isFine(own));
  return fine ? 'up' : 'spare';
}

function localStanding(node: Verdict, check: Verdict): 'up' | 'spare' | 'down' {
  if (check === verdicts.healthy) return node === verdicts.healthy ? 'up' : 'spare';
  return check === verdicts.suspect ? 'spare' : 'down';
}

function isFine(verdict: Verdict): boolean {
  return verdict === verdicts.healthy || verdict === verdicts.untried;
}

/** Pure. What is reported of a verdict. */
export function healthOf(verdict: Verdict): 'healthy' | 'unhealthy' | 'unknown' {
  if (verdict === verdicts.healthy || verdict === verdicts.suspect) return 'healthy';
  return verdict === verdicts.unhealthy ? 'unhealthy' : 'unknown';
}
