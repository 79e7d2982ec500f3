import type { LoadBalancer, TargetGroup } from '@aws-sdk/client-elastic-load-balancing-v2';
import { readBalancer, readGroup } from './answers.ts';
import type { Inventory } from './inventory.ts';
import { SHARED, TAG } from './names.ts';
import type { SeenSecurityGroup, Tags } from './picture.ts';
import type { Census } from './quota.ts';
import type { Reader } from './reader.ts';

/** Our target groups and security groups are called so; an NLB may have a name that its Service chose. */
const OUR_NAMES = /^np-/;

/**
 * Reads by tags all that is ours, as a whole. Tags of what is not ours are read once: ours are there from the beginning.
 * Few calls: a page of NLBs, a page of target groups, tags by twenties, and two for security groups.
 */
export class Sweep {
  readonly #reader: Reader;
  readonly #inventory: Inventory;
  readonly #clusterName: string;
  readonly #now: () => number;
  /** ARNs of others; as many as the account has NLBs, and target groups that are called like ours. */
  #foreign = new Set<string>();
  /** What others have of what there is a quota for. */
  census: Census = { balancers: 0, groups: 0, interfaces: new Map(), at: Number.NEGATIVE_INFINITY };

  constructor(parts: { readonly reader: Reader; readonly inventory: Inventory; readonly clusterName: string; now(): number }) {
    this.#reader = parts.reader;
    this.#inventory = parts.inventory;
    this.#clusterName = parts.clusterName;
    this.#now = parts.now;
  }

  async run(): Promise<void> {
    const startedAt = this.#now();
    const [balancers, groups, securityGroups] = await Promise.all([
      this.#reader.balancers(),
      this.#reader.groups(),
      this.#reader.securityGroups({ [`tag:${TAG.cluster}`]: [this.#clusterName] }),
    ]);
    const ours = new Map<string, Tags>();
    const networks = balancers.filter(({ Type }) => Type === 'network');
    const named = groups.filter(({ TargetGroupName }) => OUR_NAMES.test(TargetGroupName ?? ''));
    const arns = [...networks.map((one) => one.LoadBalancerArn ?? ''), ...named.map((one) => one.TargetGroupArn ?? '')];
    const tags = await this.#reader.tags(arns.filter((arn) => !this.#foreign.has(arn)));
    for (const [arn, found] of tags) if (this.#isOurs(found)) ours.set(arn, found);
    this.#foreign = new Set(arns.filter((arn) => !ours.has(arn) && (tags.has(arn) || this.#foreign.has(arn))));
    this.census = takeCensus(balancers, groups, { at: startedAt, isOurs: (arn) => ours.has(arn) });
    await this.#takeNodeGroups(securityGroups, startedAt);
    this.#inventory.take(
      {
        balancers: networks.flatMap((one) =>
          ours.has(one.LoadBalancerArn!) ? readBalancer(one, ours.get(one.LoadBalancerArn!)!) : [],
        ),
        groups: named.flatMap((one) => (ours.has(one.TargetGroupArn!) ? readGroup(one, ours.get(one.TargetGroupArn!)!) : [])),
        securityGroups: securityGroups.filter((group) => this.#isOurs(group.tags)),
      },
      startedAt,
    );
  }

  /** Counts alone: what is ours is known. */
  async count(): Promise<void> {
    const at = this.#now();
    const [balancers, groups] = await Promise.all([this.#reader.balancers(), this.#reader.groups()]);
    const isOurs = (arn: string): boolean => this.#inventory.balancers.has(arn) || this.#inventory.groups.has(arn);
    this.census = takeCensus(balancers, groups, { at, isOurs });
  }

  #isOurs(tags: Tags): boolean {
    return tags[TAG.cluster] === this.#clusterName && tags[TAG.balancer] !== undefined;
  }

  /** Groups of nodes are known by the rules on them that let our backend group in. */
  async #takeNodeGroups(ours: readonly SeenSecurityGroup[], startedAt: number): Promise<void> {
    const backend = ours.find(({ tags }) => tags[TAG.balancer] === SHARED);
    if (!backend) return;
    const touched = await this.#reader.securityGroups({ 'ip-permission.group-id': [backend.id] });
    this.#inventory.takeNodeGroups(
      touched.filter(({ id }) => id !== backend.id),
      backend.id,
      startedAt,
    );
  }
}

function takeCensus(
  balancers: readonly LoadBalancer[],
  groups: readonly TargetGroup[],
  { at, isOurs }: { readonly at: number; isOurs(arn: string): boolean },
): Census {
  const others = balancers.filter(({ Type, LoadBalancerArn }) => Type === 'network' && !isOurs(LoadBalancerArn ?? ''));
  const interfaces = new Map<string, number>();
  for (const { VpcId = '', AvailabilityZones = [] } of others) {
    interfaces.set(VpcId, (interfaces.get(VpcId) ?? 0) + AvailabilityZones.length);
  }
  const otherGroups = groups.filter(({ TargetGroupArn }) => !isOurs(TargetGroupArn ?? ''));
  return { balancers: others.length, groups: otherGroups.length, interfaces, at };
}
