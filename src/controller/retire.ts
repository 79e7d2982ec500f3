import { at, type Service, text } from '../kube/objects.ts';
import type { Log } from '../providers/provider.ts';
import { type ClaimOptions, CONDITION, claim } from './claim.ts';

/**
 * On the leader's Lease: whoever leads takes every balancer down and makes none, until it is taken away. It stands there and not in
 * the configuration, so that it reaches the controllers that run, and the next one to lead as well.
 */
const RETIRE = 'nodeport-lb.io/retire';

export function isRetired(lease: unknown): boolean {
  return text(at(at(at(lease, 'metadata'), 'annotations'), RETIRE)) === 'true';
}

/** The Lease to write; its resourceVersion guards the write. */
export function withRetired(lease: unknown, retired: boolean): object {
  const metadata = at(lease, 'metadata') as object;
  const { [RETIRE]: _, ...annotations } = (at(metadata, 'annotations') ?? {}) as Record<string, string>;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...metadata, annotations: retired ? { ...annotations, [RETIRE]: 'true' } : annotations },
    spec: at(lease, 'spec'),
  };
}

export interface Retirement {
  retired(): boolean;
  /** Told of the Lease as it was last written. @returns whether the answer has changed */
  seen(lease: unknown): boolean;
}

export function makeRetirement(log: Log): Retirement {
  let retired = false;
  return {
    retired: () => retired,
    seen(lease) {
      const before = retired;
      retired = isRetired(lease);
      if (retired === before) return false;
      if (retired) log.warn({}, 'taking every balancer down, as `nodeport-lb retire` asks; none is made until it is undone');
      else log.info({}, 'balancers are made again: the request to retire is gone');
      return true;
    },
  };
}

/** Services that a retired controller has yet to let go of. One that another provider holds is not among them: it stays. */
export function stillHeld(services: readonly Service[], options: ClaimOptions): readonly Service[] {
  return services.filter((service) => {
    const isElsewhere = service.conditions.some(({ type, reason }) => type === CONDITION && reason === 'OtherProvider');
    return claim(service, { ...options, retired: true }).kind === 'leaving' && !isElsewhere;
  });
}
