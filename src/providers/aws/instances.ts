import type { NodeTarget } from '../../model.ts';
import { shortHash } from './names.ts';
import type { Facts, SkippedNode } from './picture.ts';

/** The instances that are targets, and the nodes that cannot be. */
export interface Targets {
  /** Instance ids, sorted. */
  readonly ids: readonly string[];
  /** Those that could be targets, whatever an NLB takes; sorted. */
  readonly eligible: readonly string[];
  /** Node names by instance id. */
  readonly nodes: Readonly<Record<string, string>>;
  readonly skipped: readonly SkippedNode[];
  /** Instances that could be targets and are not, because the NLB takes no more. */
  readonly leftOut: number;
  /** Why, in words that stay the same while nodes come and go. */
  readonly limit?: string;
}

/**
 * Registrations that an NLB takes: in one zone, in all, and in all when it balances across zones. An instance counts once for
 * each of its target groups. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
 */
const PER_ZONE = 500;
const PER_BALANCER = 3_000;
const ACROSS_ZONES = 500;
/** Targets that a target group takes. */
const PER_GROUP = 1_000;

/** Whether an NLB takes so many registrations, each counted by the zone of its instance. */
export function fitsQuota(byZone: ReadonlyMap<string, number>, isAcrossZones: boolean): boolean {
  const counts = [...byZone.values()];
  const total = counts.reduce((sum, count) => sum + count, 0);
  return isAcrossZones ? total <= ACROSS_ZONES : total <= PER_BALANCER && counts.every((count) => count <= PER_ZONE);
}

/** A target group takes instances in these states; others are on their way out or not there yet. */
const USABLE_STATES = ['pending', 'running'];

/** As cloud providers write it: `aws:///eu-west-1a/i-0123456789abcdef0`. */
export function instanceIdOf(node: NodeTarget): string | undefined {
  return /^aws:\/\/\/(?:[^/]+\/)?(i-[0-9a-f]{8,32})$/.exec(node.providerId ?? '')?.[1];
}

export interface Room {
  readonly key: string;
  /** Target groups that each instance is in. */
  readonly groups: number;
  readonly isAcrossZones: boolean;
}

/**
 * Where there are more instances than the NLB takes, the same ones are chosen each time, and as few as can be change when nodes come
 * and go: each has a rank of its own for this balancer (rendezvous hashing).
 */
export function limitTargets(targets: Targets, facts: Pick<Facts, 'instances'>, { key, groups, isAcrossZones }: Room): Targets {
  const most = Math.min(PER_GROUP, Math.floor((isAcrossZones ? ACROSS_ZONES : PER_BALANCER) / Math.max(1, groups)));
  const perZone = isAcrossZones ? most : Math.floor(PER_ZONE / Math.max(1, groups));
  const byZone = new Map<string, number>();
  const chosen = new Set<string>();
  if (targets.ids.length <= Math.min(most, perZone)) return targets;
  for (const id of ranked(targets.ids, key)) {
    const zone = facts.instances[id]?.zone ?? '';
    const count = byZone.get(zone) ?? 0;
    if (chosen.size >= most || count >= perZone) continue;
    chosen.add(id);
    byZone.set(zone, count + 1);
  }
  const leftOut = targets.ids.length - chosen.size;
  if (leftOut === 0) return targets;
  const limit = isAcrossZones
    ? `Only ${most} nodes are targets: with cross-zone balancing an NLB takes ${ACROSS_ZONES} registrations`
    : `At most ${perZone} nodes of a zone and ${most} in all are targets: an NLB takes ${PER_ZONE} registrations a zone and ${PER_BALANCER} in all, and a target group ${PER_GROUP}`;
  const why = groups > 1 ? `${limit}, and each node counts once for each of its ${groups} target groups` : limit;
  return { ...targets, ids: targets.ids.filter((id) => chosen.has(id)), leftOut, limit: why };
}

function ranked(ids: readonly string[], key: string): readonly string[] {
  const ranks = ids.map((id) => [shortHash(key, id), id] as const);
  return ranks.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, id]) => id);
}

/** A node that cannot be a target is skipped and named; it never blocks the rest. */
export function chooseTargets(nodes: readonly NodeTarget[], facts: Pick<Facts, 'vpcId' | 'instances'>): Targets {
  const byId: Record<string, string> = {};
  const skipped: SkippedNode[] = [];
  for (const node of nodes) {
    const id = instanceIdOf(node);
    const why = id === undefined ? sayNoInstance(node) : whyUnusable(id, facts);
    if (id === undefined || why !== undefined) skipped.push({ node: node.name, why: why ?? '' });
    else byId[id] = node.name;
  }
  const ids = Object.keys(byId).sort();
  return { ids, eligible: ids, nodes: byId, skipped, leftOut: 0 };
}

function sayNoInstance({ providerId }: NodeTarget): string {
  if (providerId === undefined) return 'it has no spec.providerID, so nobody knows which instance it is';
  return `its spec.providerID ${JSON.stringify(providerId)} is not an EC2 instance's`;
}

function whyUnusable(id: string, facts: Pick<Facts, 'vpcId' | 'instances'>): string | undefined {
  const instance = facts.instances[id];
  if (!instance) return `EC2 knows no instance ${id} in this account and region`;
  if (!USABLE_STATES.includes(instance.state)) return `instance ${id} is ${instance.state}`;
  if (instance.vpcId !== facts.vpcId) return `instance ${id} is in ${instance.vpcId}, and the balancers are in ${facts.vpcId}`;
  return undefined;
}
