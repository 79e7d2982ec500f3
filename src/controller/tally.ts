import { Refusal } from '../errors.ts';
import type { Services } from '../kube/api.ts';
import type { Service } from '../kube/objects.ts';
import type { Balancer, Report, Step } from '../model.ts';
import type { Provider } from '../providers/provider.ts';
import { CONDITION } from './claim.ts';
import type { QueueMeter } from './queue.ts';

/** What the controller counts; the process's metrics fit. */
export interface Meter {
  setServices(counts: readonly { readonly state: 'ready' | 'pending'; readonly reason: string; readonly count: number }[]): void;
  reconciled(seconds: number): void;
  setTargets(counts: Readonly<Record<'healthy' | 'unhealthy' | 'unknown' | 'draining', number>>): void;
  readonly queue: QueueMeter;
  /** Calls `refresh` whenever somebody is about to read the gauges. */
  beforeRender(refresh: () => void | Promise<void>): void;
  providerRequested(action: string, code: string): void;
  forwarderConnected(connections: number): void;
}

/** Remembers of each balancer what the last pass saw, and brings the gauges up to date when they are read. */
export interface Tally {
  /** What the pass before brought about; undefined: nothing, or there was none. */
  lastWanted(key: string): Balancer | undefined;
  passed(key: string, wanted: Balancer | undefined, report: Report): { readonly sameNodes: boolean };
  reconciled(seconds: number): void;
  /** One step was applied; `thrown` is what came of it, undefined when all was well. */
  applied(step: Step, thrown: unknown): void;
}

type Counts = Record<'healthy' | 'unhealthy' | 'unknown' | 'draining', number>;

/** @param isOurs whether a Service is this controller's: others may carry a condition of the same type */
export function makeTally(meter: Meter, services: Services, provider: Provider, isOurs: (service: Service) => boolean): Tally {
  const wantedOf = new Map<string, Balancer>();
  const healthOf = new Map<string, Counts>();
  let connected = 0;

  meter.beforeRender(async () => {
    const connections = (await provider.connections?.()) ?? 0;
    meter.forwarderConnected(connections < connected ? connections : connections - connected); // a new forwarder counts from 0
    connected = connections;
  });
  meter.beforeRender(() => {
    const total = emptyCounts();
    for (const counts of healthOf.values()) {
      for (const health of Object.keys(total) as (keyof Counts)[]) total[health] += counts[health];
    }
    meter.setTargets(total);
    meter.setServices(countServices([...services.all()].filter(isOurs)));
  });

  return {
    lastWanted: (key) => wantedOf.get(key),
    passed(key, wanted, report) {
      const before = wantedOf.get(key);
      const sameNodes = wanted !== undefined && before?.nodes === wanted.nodes && endpointsOf(before) === endpointsOf(wanted);
      if (wanted) {
        wantedOf.set(key, wanted);
        healthOf.set(key, countHealth(report));
      } else {
        wantedOf.delete(key);
        healthOf.delete(key);
      }
      return { sameNodes };
    },
    reconciled: (seconds) => meter.reconciled(seconds),
    applied: (step, thrown) => meter.providerRequested(step.kind, thrown === undefined ? 'ok' : codeOf(thrown)),
  };
}

function endpointsOf({ listeners }: Balancer): string {
  return listeners.map(({ targetGroup }) => targetGroup.endpointNodes?.join() ?? '-').join(' ');
}

function emptyCounts(): Counts {
  return { healthy: 0, unhealthy: 0, unknown: 0, draining: 0 };
}

function countHealth(report: Report): Counts {
  const counts = emptyCounts();
  for (const target of report.targets) counts[target.health] += 1;
  return counts;
}

function countServices(services: readonly Service[]): { state: 'ready' | 'pending'; reason: string; count: number }[] {
  const counts = new Map<string, { state: 'ready' | 'pending'; reason: string; count: number }>();
  for (const service of services) {
    const condition = service.conditions.find((c) => c.type === CONDITION);
    if (!condition) continue;
    const state = condition.status === 'True' ? 'ready' : 'pending';
    const entry = counts.get(`${state} ${condition.reason}`) ?? { state, reason: condition.reason, count: 0 };
    entry.count += 1;
    counts.set(`${state} ${condition.reason}`, entry);
  }
  return [...counts.values()];
}

/** Codes come from fixed sets: our table, or the names of error classes. */
function codeOf(thrown: unknown): string {
  if (thrown instanceof Refusal) return thrown.code;
  return thrown instanceof Error ? thrown.name : 'unknown';
}
