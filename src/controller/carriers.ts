import type { Service } from '../kube/objects.ts';
import { type Balancer, nameOf, type Report } from '../model.ts';
import { heldAddresses } from './claim.ts';

/**
 * Which balancer carries which Services, as the provider last reported. A Service whose share group has changed belongs to
 * another balancer while the old one still carries it. It is held back from the new one for as long as both would have the same
 * address, or it could not keep the address; and one that leaves is held back until nobody carries it, or its finalizer would go
 * too early.
 */
export interface Carriers {
  /** What the key may carry from now on, before anything is made for it. */
  expect(key: string, wanted: Balancer): void;
  /** Whether the key may carry anything. */
  carries(key: string): boolean;
  /** What the key carries now. */
  note(key: string, report: Report): void;
  /** Whether a Service whose balancer `key` is must wait until another balancer has let go of it. */
  holdsBack(key: string, service: Service, leaves: boolean): boolean;
  /** Services that wait because `key` still carries them. */
  waitingFor(key: string): readonly Service[];
}

export interface CarrierOptions {
  /** Finds a Service by `namespace/name`, as it is now. */
  find(name: string): Service | undefined;
  /** A Service was held back from this key, and need not be any more. */
  freed(key: string): void;
}

interface Load {
  readonly uids: ReadonlySet<string>;
  readonly ips: ReadonlySet<string>;
}

/** Its size is that of the balancers that exist, and of the Services that are on their way from one to another. */
export function makeCarriers({ find, freed }: CarrierOptions): Carriers {
  const loads = new Map<string, Load>(); // by key
  const keysOf = new Map<string, Set<string>>(); // by UID; nearly always one
  const waiting = new Map<string, Map<string, { readonly name: string; readonly key: string }>>(); // by carrier, by UID

  function expect(key: string, { listeners, address }: Balancer): void {
    const before = loads.get(key);
    const uids = new Set([...(before?.uids ?? []), ...listeners.map(({ service }) => service.uid)]);
    load(key, uids, new Set([...(before?.ips ?? []), ...address.held]));
  }

  function note(key: string, report: Report): void {
    const uids = new Set(report.listeners.map((listener) => listener.uid));
    load(key, uids, new Set(report.addresses.flatMap(({ ip }) => ip ?? [])));
    wake(key, uids);
  }

  function load(key: string, uids: ReadonlySet<string>, ips: ReadonlySet<string>): void {
    const lost = [...(loads.get(key)?.uids ?? [])].filter((uid) => !uids.has(uid));
    for (const uid of lost) unload(key, uid);
    for (const uid of uids) keysOf.set(uid, (keysOf.get(uid) ?? new Set()).add(key));
    if (uids.size > 0) loads.set(key, { uids, ips });
    else loads.delete(key);
  }

  function unload(key: string, uid: string): void {
    const keys = keysOf.get(uid);
    keys?.delete(key);
    if (keys?.size === 0) keysOf.delete(uid);
  }

  function wake(carrier: string, uids: ReadonlySet<string>): void {
    const waiters = waiting.get(carrier);
    for (const [uid, waiter] of waiters ?? []) {
      if (uids.has(uid)) continue;
      waiters?.delete(uid);
      freed(waiter.key);
    }
    if (waiters?.size === 0) waiting.delete(carrier);
  }

  return {
    expect,
    carries: (key) => loads.has(key),
    note,
    holdsBack(key, service, leaves) {
      const others = [...(keysOf.get(service.uid) ?? [])].filter((other) => other !== key);
      const carrier = others.find((other) => leaves || heldAddresses(service).some((ip) => loads.get(other)?.ips.has(ip)));
      if (carrier === undefined) return false;
      waiting.set(carrier, (waiting.get(carrier) ?? new Map()).set(service.uid, { name: nameOf(service), key }));
      return true;
    },
    waitingFor: (key) => [...(waiting.get(key)?.values() ?? [])].flatMap(({ name }) => find(name) ?? []),
  };
}
