import type { ListenerReport, Note, Protocol, PublishedAddress, Report, TargetReport } from '../../model.ts';
import { TAG, uidsOf } from './names.ts';
import type { Observed, SeenBalancer, SeenGroup, SeenTarget } from './picture.ts';
import { readZoneNote } from './plan-zones.ts';

const NOT_READ = 'not looked at since the start';

/** Pure. What a person or a status may be told of what is observed. */
export function reportObserved(observed: Observed): Report {
  const serving = chooseServing(observed);
  const groups = serving ? attachedGroups(observed, serving) : [];
  const gone = observed.balancers.length + observed.groups.length + observed.securityGroups.length === 0;
  return {
    addresses: serving && groups.length > 0 ? publish(serving, observed) : [],
    listeners: serving
      ? dedupe(groups.flatMap(listenersOf)).filter(({ uid }) => !observed.arrivals.includes(uid))
      : leftListeners(observed),
    targets: gone
      ? []
      : [...dedupeTargets(groups.flatMap((group) => targetsOf(group, observed, serving!))), ...skippedTargets(observed)],
    settled: serving !== undefined && isSettled(observed, serving, groups),
    gone,
    ...(observed.arrivals.length > 0 ? { elsewhere: observed.arrivals } : {}),
    ...(serving ? { notes: [...noteLimit(observed), ...noteZones(observed, serving)] } : {}),
  };
}

function noteLimit({ limit }: Observed): readonly Note[] {
  return limit === undefined ? [] : [{ code: 'QuotaExceeded', message: limit }];
}

/** By zone and not by node, so that it stays the same while nodes come and go. */
function noteZones({ nodes, facts }: Observed, { zones }: SeenBalancer): readonly Note[] {
  const covered = new Set(zones.map(({ zone }) => zone));
  const lost = new Set(Object.keys(nodes).flatMap((id) => facts?.instances[id]?.zone ?? []));
  for (const zone of covered) lost.delete(zone);
  if (lost.size === 0) return [];
  const message = `Nodes in ${[...lost].sort().join(', ')} get no traffic: the NLB covers ${[...covered].sort().join(', ')} only`;
  return [{ code: 'SubnetUnavailable', message }];
}

/** The oldest NLB that serves and has no successor yet. One that gets another zone goes on serving in those that it had. */
function chooseServing({ balancers }: Observed): SeenBalancer | undefined {
  const active = balancers.filter(
    ({ state, tags }) =>
      state === 'active' || state === 'active_impaired' || (state === 'provisioning' && tags[TAG.zones] !== undefined),
  );
  return active.find(({ tags }) => tags[TAG.retired] === undefined) ?? active.at(-1);
}

/** A listener is made after everything that it needs, so a group that a listener uses has its targets. */
function attachedGroups({ groups }: Observed, { arn }: SeenBalancer): readonly SeenGroup[] {
  return groups.filter(({ balancerArns }) => balancerArns.includes(arn));
}

/** Addresses that are asked for and not known yet are worth waiting for: nothing else is published meanwhile. */
function publish(balancer: SeenBalancer, { goal }: Observed): readonly PublishedAddress[] {
  if (goal?.publish !== 'ip') return [{ hostname: balancer.dnsName }];
  const { coming = [], leaving = [] } = readZoneNote(balancer) ?? {};
  const steady = (balancer.ips ?? []).filter(({ zone }) => !coming.includes(zone) && !leaving.includes(zone));
  return steady.map(({ ip }) => ({ ip, ipMode: goal.ipMode }));
}

function isSettled(observed: Observed, serving: SeenBalancer, groups: readonly SeenGroup[]): boolean {
  const { goal } = observed;
  const living = observed.balancers.filter(({ tags }) => tags[TAG.retired] === undefined);
  const loose = observed.groups.some((group) => group.balancerArns.length === 0 && group.tags[TAG.retired] === undefined);
  const used = new Set(observed.balancers.flatMap(({ securityGroups }) => securityGroups));
  const idle = observed.securityGroups.some(({ id, busyUntil }) => !used.has(id) && busyUntil === undefined);
  if (observed.arrivals.length > 0) return false;
  if (living.length !== 1 || loose || idle || groups.length === 0 || serving.state === 'provisioning') return false;
  if (readZoneNote(serving)?.coming.length) return false;
  if (!goal) return true;
  if (goal.publish === 'ip' && !serving.ips) return false;
  const attached = new Set(groups.map(({ name }) => name));
  return serving.tags[TAG.applied] === goal.config && goal.hasTargets && goal.groups.every((name) => attached.has(name));
}

function listenersOf(group: SeenGroup): readonly ListenerReport[] {
  const words = (group.tags[TAG.listener] ?? '').split(' ').filter((word) => word !== '');
  return words.flatMap((word) => {
    const [, port = '', protocol = '', uid = ''] = /^(\d+)\/(TCP|UDP)=(.+)$/.exec(word) ?? [];
    return port === '' ? [] : [{ uid, protocol: protocol as Protocol, port: Number(port) }];
  });
}

/** While anything of a Service is left, it is told as a port of its own, so that nobody lets go of the Service. */
function leftListeners({ balancers, groups, securityGroups }: Observed): readonly ListenerReport[] {
  const uids = [...balancers, ...groups, ...securityGroups].flatMap(({ tags }) => uidsOf(tags));
  return [...new Set(uids)].map((uid) => ({ uid, protocol: 'TCP', port: 0 }));
}

function dedupe(listeners: readonly ListenerReport[]): readonly ListenerReport[] {
  return [...new Map(listeners.map((one) => [`${one.uid} ${one.port}/${one.protocol}`, one])).values()];
}

function dedupeTargets(targets: readonly TargetReport[]): readonly TargetReport[] {
  return [...new Map(targets.map((one) => [`${one.node} ${one.port}`, one])).values()];
}

function targetsOf(group: SeenGroup, observed: Observed, balancer: SeenBalancer): readonly TargetReport[] {
  const asOf = group.healthAt === 0 ? observed.at : group.healthAt;
  const covered = new Set(balancer.zones.map(({ zone }) => zone));
  if (!group.targets) {
    return Object.values(observed.nodes).map((node) => ({ node, health: 'unknown', reason: NOT_READ, asOf }));
  }
  return group.targets.map((target) => {
    const node = observed.nodes[target.id] ?? target.id;
    const zone = observed.facts?.instances[target.id]?.zone;
    if (zone !== undefined && !covered.has(zone)) {
      return { node, port: target.port, health: 'unhealthy', reason: `the NLB does not cover its zone ${zone}`, asOf };
    }
    return { node, port: target.port, asOf, ...healthOf(target) };
  });
}

/** Once they have settled targets are read again only when something changes, somebody asks, or the close look comes. */
function healthOf({ state, reason }: SeenTarget): Pick<TargetReport, 'health' | 'reason' | 'isRead'> {
  const why = { ...(reason === undefined ? {} : { reason }), ...(state === 'unhealthy' ? { isRead: true as const } : {}) };
  if (state === 'healthy' || state === 'unhealthy' || state === 'draining') return { health: state, ...why };
  if (state === 'proven') return { health: 'unknown', reason: NOT_READ };
  if (state === 'unread') return { health: 'unknown', reason: 'registered, not checked yet' };
  return { health: 'unknown', reason: reason ?? state };
}

function skippedTargets({ skipped, at }: Observed): readonly TargetReport[] {
  return skipped.map(({ node, why }) => ({ node, health: 'unhealthy', reason: why, asOf: at }));
}
