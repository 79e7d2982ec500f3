import type { ListenerCounters } from './rules.ts';

export const zeroCounters: ListenerCounters = {
  connections: 0,
  active: 0,
  bytesFromClients: 0,
  bytesToClients: 0,
  failures: 0,
  retries: 0,
  refusedByRange: 0,
  refusedByLimit: 0,
  evicted: 0,
  dropped: 0,
};

/** Pure. */
export function addCounters(a: ListenerCounters, b: ListenerCounters): ListenerCounters {
  return {
    connections: a.connections + b.connections,
    active: a.active + b.active,
    bytesFromClients: a.bytesFromClients + b.bytesFromClients,
    bytesToClients: a.bytesToClients + b.bytesToClients,
    failures: a.failures + b.failures,
    retries: a.retries + b.retries,
    refusedByRange: a.refusedByRange + b.refusedByRange,
    refusedByLimit: a.refusedByLimit + b.refusedByLimit,
    evicted: a.evicted + b.evicted,
    dropped: a.dropped + b.dropped,
  };
}
