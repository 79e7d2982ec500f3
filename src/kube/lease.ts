import { at, text } from './objects.ts';

/** What a coordination.k8s.io/v1 Lease says of a leader election, in client-go's meaning. Pure. */

export interface LeaseRecord {
  /** Empty: nobody holds it. */
  readonly holder: string;
  /** As the holder promised: it stops before so long has passed without a renewal. 0 when it says nothing. */
  readonly leaseMs: number;
  /** RFC 3339 with microseconds, by the holder's clock; only ever compared with itself. */
  readonly renewTime: string;
  readonly acquireTime: string;
  readonly transitions: number;
}

/** The last that was seen of a lease, and when, by our own monotonic clock. */
export interface Sighting {
  readonly record: LeaseRecord;
  readonly seenAtMs: number;
}

export function readLease(raw: unknown): LeaseRecord {
  const spec = at(raw, 'spec');
  const seconds = at(spec, 'leaseDurationSeconds');
  const transitions = at(spec, 'leaseTransitions');
  return {
    holder: text(at(spec, 'holderIdentity')),
    leaseMs: typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : 0,
    renewTime: text(at(spec, 'renewTime')),
    acquireTime: text(at(spec, 'acquireTime')),
    transitions: typeof transitions === 'number' ? transitions : 0,
  };
}

/** A renewal counts from when we saw it: clocks of machines differ, so nobody's renewTime is compared with our time. */
export function sight(before: Sighting | undefined, record: LeaseRecord, nowMs: number): Sighting {
  const same = before && before.record.holder === record.holder && before.record.renewTime === record.renewTime;
  return same ? before : { record, seenAtMs: nowMs };
}

/** For how long the lease is still another's. @returns milliseconds; 0: it is ours, nobody's, or has expired */
export function heldByAnotherMs(sighting: Sighting, identity: string, leaseMs: number, nowMs: number): number {
  const { record, seenAtMs } = sighting;
  if (record.holder === '' || record.holder === identity) return 0;
  return Math.max(0, seenAtMs + (record.leaseMs || leaseMs) - nowMs);
}

/** The record that makes `identity` the holder, or renews it. @param wallMs milliseconds since the epoch */
export function claimedBy(identity: string, before: LeaseRecord | undefined, leaseMs: number, wallMs: number): LeaseRecord {
  const ours = before?.holder === identity;
  return {
    holder: identity,
    leaseMs,
    renewTime: microTime(wallMs),
    acquireTime: ours ? before.acquireTime : microTime(wallMs),
    transitions: before === undefined ? 0 : before.transitions + (ours ? 0 : 1),
  };
}

/** The record with which a holder lets go; others need not wait. */
export function released(before: LeaseRecord, wallMs: number): LeaseRecord {
  return { ...before, holder: '', leaseMs: 1000, renewTime: microTime(wallMs) };
}

/** The Lease to write. @param raw the one that was read: what else stands in it stays, and its resourceVersion guards the write */
export function writeLease(
  raw: unknown,
  place: { readonly namespace: string; readonly name: string },
  record: LeaseRecord,
): object {
  const spec = {
    ...(at(raw, 'spec') as object | undefined),
    holderIdentity: record.holder,
    leaseDurationSeconds: Math.ceil(record.leaseMs / 1000),
    renewTime: record.renewTime,
    acquireTime: record.acquireTime,
    leaseTransitions: record.transitions,
  };
  const metadata = (at(raw, 'metadata') as object | undefined) ?? place;
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
}

function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}
