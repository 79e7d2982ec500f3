import type { Services } from '../kube/api.ts';
import type { Balancer, NodeTarget, Report } from '../model.ts';
import { CONDITION } from './claim.ts';
import type { QueueMeter } from './queue.ts';

/** What the controller counts; the process's metrics fit. */
export interface Meter {
  setServices(counts: readonly { readonly state: 'ready' | 'pending'; readonly reason: string; readonly count: number }[]): void;
  reconciled(seconds: number): void;
  setTargets(counts: Readonly<Record<'healthy' | 'unhealthy' | 'unknown' | 'draining', number>>): void;
  readonly queue: QueueMeter;
  /** Calls `refresh` whenever somebody is about to read the gauges. */
  beforeRender(refresh: () => void): void;
}

/** Remembers of each balancer what the last pass saw, and brings the gauges up to date when they are read. */
export interface Tally {
  passed(key: string, wanted: Balancer | undefined, report: Report): { readonly sameNodes: boolean };
  reconciled(seconds: number): void;
}

type Counts = Record<'healthy' | 'unhealthy' | 'unknown' | 'draining', number>;

export function makeTally(meter: Meter, services: Services): Tally {
  const nodesOf = new Map<string, readonly NodeTarget[]>();
  const healthOf = new Map<string, Counts>();

  meter.beforeRender(() => {
    const total = emptyCounts();
    for (const counts of healthOf.values()) {
      for (const health of Object.keys(total) as (keyof Counts)[]) total[health] += counts[health];
    }
    meter.setTargets(total);
    meter.setServices(countServices(services));
  });

  return {
    passed(key, wanted, report) {
      const sameNodes = wanted !== undefined && nodesOf.get(key) === wanted.nodes;
      if (wanted) {
        nodesOf.set(key, wanted.nodes);
        healthOf.set(key, countHealth(report));
      } else {
        nodesOf.delete(key);
        healthOf.delete(key);
      }
      return { sameNodes };
    },
    reconciled: (seconds) => meter.reconciled(seconds),
  };
}

function emptyCounts(): Counts {
  return { healthy: 0, unhealthy: 0, unknown: 0, draining: 0 };
}

function countHealth(report: Report): Counts {
  const counts = emptyCounts();
  for (const target of report.targets) counts[target.health] += 1;
  return counts;
}

function countServices(services: Services): { state: 'ready' | 'pending'; reason: string; count: number }[] {
  const counts = new Map<string, { state: 'ready' | 'pending'; reason: string; count: number }>();
  for (const service of services.all()) {
    const condition = service.conditions.find((c) => c.type === CONDITION);
    if (!condition) continue;
    const state = condition.status === 'True' ? 'ready' : 'pending';
    const entry = counts.get(`${state} ${condition.reason}`) ?? { state, reason: condition.reason, count: 0 };
    entry.count += 1;
    counts.set(`${state} ${condition.reason}`, entry);
  }
  return [...counts.values()];
}
