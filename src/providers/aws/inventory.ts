import { SHARED, TAG } from './names.ts';
import { sortAgain } from './own-targets.ts';
import type { SeenBalancer, SeenGroup, SeenSecurityGroup, SeenShared } from './picture.ts';

/**
 * AWS's reads lag behind its writes. What we wrote ourselves is believed rather than a read that began within this time after it.
 * @see https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
 */
const LAG_MS = 60_000;

/**
 * Everything that carries our tags, shared by all balancers: read as a whole from time to time, and kept current by each answer
 * to a write of ours. As large as what the cluster has at AWS.
 */
export class Inventory {
  readonly balancers = new Map<string, SeenBalancer>();
  readonly groups = new Map<string, SeenGroup>();
  readonly securityGroups = new Map<string, SeenSecurityGroup>();
  /** Groups of nodes; others made them, and a few rules on them are ours. */
  readonly nodeGroups = new Map<string, SeenSecurityGroup>();
  readonly #now: () => number;
  /** When we wrote or removed something last, by ARN or id; what is older than the lag is forgotten. */
  readonly #written = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** What is known is not believed any more, our own writes included; the next read brings it anew. Groups of nodes stay named. */
  forget(): void {
    for (const map of [this.balancers, this.groups, this.securityGroups, this.#written]) map.clear();
  }

  put(kind: 'balancers', entry: SeenBalancer): void;
  put(kind: 'groups', entry: SeenGroup): void;
  put(kind: 'securityGroups' | 'nodeGroups', entry: SeenSecurityGroup): void;
  put(kind: 'balancers' | 'groups' | 'securityGroups' | 'nodeGroups', entry: SeenBalancer | SeenGroup | SeenSecurityGroup): void {
    const id = 'arn' in entry ? entry.arn : entry.id;
    (this[kind] as Map<string, typeof entry>).set(id, entry);
    this.#written.set(id, this.#now());
  }

  remove(kind: 'balancers' | 'groups' | 'securityGroups', id: string): void {
    this[kind].delete(id);
    this.#written.set(id, this.#now());
    if (kind === 'balancers') for (const group of this.groups.values()) this.#detach(group, id);
  }

  /** @param at milliseconds since the epoch */
  wroteSince(at: number): boolean {
    for (const written of this.#written.values()) if (written >= at) return true;
    return false;
  }

  #detach(group: SeenGroup, balancerArn: string): void {
    if (!group.balancerArns.includes(balancerArn)) return;
    this.put('groups', { ...group, balancerArns: group.balancerArns.filter((arn) => arn !== balancerArn) });
  }

  /**
   * Takes a read of everything in. What only a closer look shows (listeners, attributes, targets) stays as it is known.
   * @param startedAt when the read began, milliseconds since the epoch
   */
  take(
    read: {
      readonly balancers: readonly SeenBalancer[];
      readonly groups: readonly SeenGroup[];
      readonly securityGroups: readonly SeenSecurityGroup[];
    },
    startedAt: number,
  ): void {
    for (const [id, at] of this.#written) if (at < startedAt - LAG_MS) this.#written.delete(id);
    this.#merge(this.balancers, read.balancers, ({ arn }) => arn, mergeBalancer);
    this.#merge(
      this.groups,
      read.groups,
      ({ arn }) => arn,
      (had, now) => this.#mergeGroup(had, now),
    );
    this.#merge(
      this.securityGroups,
      read.securityGroups,
      ({ id }) => id,
      ({ busyUntil, busyMs }, now) => ({ ...now, ...(busyUntil ? { busyUntil } : {}), ...(busyMs ? { busyMs } : {}) }),
    );
  }

  /** @param touched every group that lets the backend group in; one that is known and not among them has lost its rules */
  takeNodeGroups(touched: readonly SeenSecurityGroup[], backendId: string, startedAt: number): void {
    const present = new Map(touched.map((group) => [group.id, group]));
    for (const [id, known] of [...this.nodeGroups, ...present]) {
      if ((this.#written.get(id) ?? 0) >= startedAt - LAG_MS) continue;
      this.nodeGroups.set(id, present.get(id) ?? { ...known, rules: known.rules.filter(({ source }) => source !== backendId) });
    }
  }

  #merge<T>(map: Map<string, T>, read: readonly T[], idOf: (entry: T) => string, merge: (had: T, now: T) => T): void {
    const present = new Map(read.map((entry) => [idOf(entry), entry]));
    for (const id of map.keys()) if (!present.has(id) && !this.#written.has(id)) map.delete(id);
    for (const [id, entry] of present) {
      if (this.#written.has(id)) continue;
      const had = map.get(id);
      map.set(id, had === undefined ? entry : merge(had, entry));
    }
  }

  /** A group that is used otherwise than we know: somebody has changed listeners of its NLB, and they must be read anew. */
  #mergeGroup(had: SeenGroup, now: SeenGroup): SeenGroup {
    const { attributes, targets, others, healthAt } = had;
    if ([...had.balancerArns].sort().join() !== [...now.balancerArns].sort().join()) {
      for (const arn of new Set([...had.balancerArns, ...now.balancerArns])) this.#doubtListeners(arn);
    }
    const known = { ...(attributes ? { attributes } : {}), ...(targets ? { targets } : {}), ...(others ? { others } : {}) };
    return sortAgain({ ...now, healthAt, ...known });
  }

  #doubtListeners(arn: string): void {
    const seen = this.balancers.get(arn);
    if (!seen) return;
    const { listeners: _, ...known } = seen;
    this.balancers.set(arn, known);
  }

  /** Every balancer key that something is there for. */
  keys(): readonly string[] {
    const entries = [...this.balancers.values(), ...this.groups.values(), ...this.securityGroups.values()];
    const keys = new Set(entries.map(({ tags }) => tags[TAG.balancer] ?? ''));
    keys.delete('');
    if (keys.size > 1 || this.backend()?.tags[TAG.retain] === 'true') keys.delete(SHARED);
    return [...keys].sort();
  }

  backend(): SeenSecurityGroup | undefined {
    return [...this.securityGroups.values()].find(({ tags }) => tags[TAG.balancer] === SHARED);
  }

  of(key: string): {
    readonly balancers: readonly SeenBalancer[];
    readonly groups: readonly SeenGroup[];
    readonly securityGroups: readonly SeenSecurityGroup[];
  } {
    const ours = <T extends { readonly tags: Readonly<Record<string, string>>; readonly name: string }>(
      map: ReadonlyMap<string, T>,
    ): readonly T[] =>
      [...map.values()].filter(({ tags }) => tags[TAG.balancer] === key).sort((a, b) => (a.name < b.name ? -1 : 1));
    const byAge = (a: SeenBalancer, b: SeenBalancer): number => a.createdAt - b.createdAt;
    return {
      balancers: [...ours(this.balancers)].sort(byAge),
      groups: ours(this.groups),
      securityGroups: ours(this.securityGroups),
    };
  }

  /** @param nodeGroups ids of the groups that nodes have and that shall admit the NLBs */
  shared(nodeGroups: readonly string[]): SeenShared {
    const backend = this.backend();
    const touched = [...this.nodeGroups.values()].filter(
      ({ id, rules }) => nodeGroups.includes(id) || rules.some(({ source }) => source === backend?.id),
    );
    return {
      ...(backend ? { backend } : {}),
      nodeGroups: Object.fromEntries(touched.map((group) => [group.id, group])),
      users: this.keys().filter((key) => key !== SHARED),
    };
  }

  /** Believes the next read rather than what is known: somebody else has removed it, or parts of it. */
  doubtBalancer(name: string): void {
    const seen = this.balancerNamed(name);
    if (!seen) return;
    const { listeners: _, attributes: __, ...known } = seen;
    this.balancers.set(seen.arn, known);
    this.#written.delete(seen.arn);
  }

  doubtAttributes(name: string): void {
    const seen = this.balancerNamed(name);
    if (!seen) return;
    const { attributes: _, ...known } = seen;
    this.balancers.set(seen.arn, known);
  }

  /** A target group's, or a security group's name. */
  doubtGroup(name: string): void {
    const seen = this.groupNamed(name);
    if (seen) {
      const { targets: _, others: __, attributes: ___, ...known } = seen;
      this.groups.set(seen.arn, known);
      this.#written.delete(seen.arn);
    }
    const group = this.securityGroupNamed(name);
    if (group) this.#written.delete(group.id);
  }

  balancerNamed(name: string): SeenBalancer | undefined {
    return [...this.balancers.values()].find((one) => one.name === name);
  }

  groupNamed(name: string): SeenGroup | undefined {
    return [...this.groups.values()].find((one) => one.name === name);
  }

  securityGroupNamed(name: string): SeenSecurityGroup | undefined {
    return [...this.securityGroups.values()].find((one) => one.name === name);
  }
}

function mergeBalancer(had: SeenBalancer, now: SeenBalancer): SeenBalancer {
  const { attributes, listeners, capacityUnits, ips } = had;
  return {
    ...now,
    ...(attributes ? { attributes } : {}),
    ...(listeners ? { listeners } : {}),
    ...(ips ? { ips } : {}),
    ...(capacityUnits === undefined ? {} : { capacityUnits }),
  };
}
