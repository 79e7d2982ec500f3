import { readAwsAnnotations } from '../../config/aws-annotations.ts';
import { Refusal } from '../../errors.ts';
import type { Balancer } from '../../model.ts';
import { chooseCurrent, groupName, hasProvenTargets, targetsHash } from './current.ts';
import { type DescribeOptions, type Desired, describe } from './desired.ts';
import { instanceIdOf } from './instances.ts';
import { TAG } from './names.ts';
import type { Facts, Goal, Observed, SeenGroup } from './picture.ts';
import { hasJust, wantedTargets } from './room.ts';
import { groupsOf } from './shares.ts';

/** What is wanted of a key, as the controller said last. */
export interface Wish {
  readonly balancer: Balancer;
  /** Of security groups and Elastic IPs that annotations name. */
  readonly names: readonly string[];
  /** Nobody has looked since it was said. */
  readonly isNew: boolean;
  /** It cannot be brought about, as is known from before: what there is stays, and follows the nodes. */
  readonly isRefused?: true;
}

export function makeWish(balancer: Balancer): Wish {
  return {
    balancer,
    names: balancer.members.flatMap(({ annotations }) => {
      const { securityGroups, eipAllocations } = readAwsAnnotations(annotations);
      return [...securityGroups, ...eipAllocations];
    }),
    isNew: true,
  };
}

/** @param nodes undefined: as it was said @returns the wish of the key, which has these nodes from now on */
export function renewNodes(wishes: Map<string, Wish>, key: string, nodes?: Balancer['nodes']): Wish | undefined {
  const wish = wishes.get(key);
  if (!wish || nodes === undefined || nodes === wish.balancer.nodes) return wish;
  const renewed = { ...wish, balancer: { ...wish.balancer, nodes } };
  wishes.set(key, renewed);
  return renewed;
}

/** Undefined: not enough is known, or it is refused, and `adjust` and `plan` say why. */
export function describeIfPossible(
  { balancer, isRefused }: Wish,
  facts: Facts | undefined,
  options: DescribeOptions,
  seen: Observed['balancers'],
): Desired | undefined {
  if (!facts || isRefused) return undefined;
  try {
    return describe(balancer, facts, options, seen);
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}

/** With these everything that depends on the VPC is refused, and all else is judged. */
export const NO_FACTS: Facts = { vpcId: '', subnets: [], instances: {}, named: {} };

/** Only the instances of the wish's nodes, and those that are targets: a snapshot for each of a thousand balancers shall not hold all. */
export function pickInstances(facts: Facts, wish: Wish | undefined, groups: readonly SeenGroup[]): Facts['instances'] {
  const targets = groups.flatMap((group) => group.targets?.map(({ id }) => id) ?? []);
  const ids = [...(wish?.balancer.nodes ?? []).flatMap((node) => instanceIdOf(node) ?? []), ...targets];
  return Object.fromEntries(ids.flatMap((id) => (facts.instances[id] ? [[id, facts.instances[id]]] : [])));
}

export function makeGoal(
  { settings }: Balancer,
  desired: Desired,
  { balancers, groups, shared }: Pick<Observed, 'balancers' | 'groups' | 'shared'>,
): Goal | undefined {
  try {
    const current = chooseCurrent(desired, balancers);
    const { name } = current;
    const isProven = hasProvenTargets(desired, current, shared.backend?.tags[TAG.targets]);
    const hasAddresses = desired.zones.some(({ allocationId }) => allocationId !== undefined);
    const proxied = desired.listeners.some(
      ({ protocol, group }) => protocol === 'TLS' || group.attributes['proxy_protocol_v2.enabled'] === 'true',
    );
    return {
      config: desired.config,
      ...(desired.asAll ? { basis: targetsHash(desired) } : {}),
      hasTargets: groupsOf(desired.listeners).every((group) => {
        const seen = groups.find((one) => one.name === groupName(desired, name, group));
        return seen?.targets ? hasJust(seen.targets, wantedTargets(group, desired)) : isProven;
      }),
      groups: groupsOf(desired.listeners).map((group) => groupName(desired, name, group)),
      publish: settings.publish === 'ip' || (settings.publish === 'auto' && hasAddresses) ? 'ip' : 'hostname',
      ipMode: proxied ? 'Proxy' : 'VIP',
    };
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}
