import { Refusal } from '../../errors.ts';
import type { Desired, DesiredZone } from './desired.ts';
import { AS_ALL, resourceName, shortHash, TAG } from './names.ts';
import type { SeenBalancer, SeenZone, Tags } from './picture.ts';
import type { DesiredGroup } from './ports.ts';
import { groupsOf } from './shares.ts';

/** Which NLB serves, or will. */
export interface Current {
  /** Undefined: it has to be made. */
  readonly balancer?: SeenBalancer;
  readonly name: string;
  /** NLBs of the same key that cannot become what is wanted. */
  readonly stale: readonly SeenBalancer[];
  /** Stale ones that must go before the new one can come. */
  readonly inTheWay: readonly SeenBalancer[];
}

/**
 * Finds the NLB that can become what is wanted by changes in place; otherwise names a new one beside the old.
 * @throws {Refusal} when the new one cannot stand beside the old and the Service does not consent to a gap
 */
export function chooseCurrent(desired: Desired, balancers: readonly SeenBalancer[]): Current {
  if (desired.adoptArn !== undefined) return chooseAdopted(desired.adoptArn, balancers);
  const fitting = balancers.filter((one) => whyUnfit(desired, one) === undefined);
  const balancer = fitting.find((one) => one.tags[TAG.retired] === undefined) ?? fitting[0];
  const stale = balancers.filter((one) => one !== balancer);
  if (balancer) return { balancer, name: balancer.name, stale, inTheWay: [] };
  const inTheWay = stale.filter((one) => clash(desired, one) !== undefined);
  if (inTheWay.length > 0 && !desired.allowDisruption) throw new Refusal('DisruptionNotAllowed', sayInTheWay(desired, inTheWay));
  return { name: freshName(desired, stale), stale, inTheWay };
}

/** What serves needs consent; what has been replaced already is gone in a known time. */
function sayInTheWay(desired: Desired, inTheWay: readonly SeenBalancer[]): string {
  const freeAt = ({ tags }: SeenBalancer): number =>
    Number(tags[TAG.retired] ?? Number.POSITIVE_INFINITY) + desired.graceSeconds * 1_000;
  const [old] = [...inTheWay].sort((a, b) => freeAt(b) - freeAt(a)) as [SeenBalancer];
  const why = `${whyUnfit(desired, old)}; ${clash(desired, old)}`;
  if (old.tags[TAG.retired] === undefined)
    return `NLB ${old.name} would have to be deleted before its successor can be made (${why})`;
  const at = new Date(freeAt(old)).toISOString().replace(/\.\d+Z$/, 'Z');
  return `NLB ${old.name} has been replaced and goes at ${at}, when its clients have had their time; what is asked for is made by itself then (${why})`;
}

/** The same, or undefined where the change needs consent: `plan` says so. */
export function chooseOrNot(desired: Desired, balancers: readonly SeenBalancer[]): Current | undefined {
  try {
    return chooseCurrent(desired, balancers);
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}

/** The ARN ends with the name and an id: `loadbalancer/net/NAME/ID`. */
function chooseAdopted(arn: string, balancers: readonly SeenBalancer[]): Current {
  const balancer = balancers.find((one) => one.arn === arn);
  const stale = balancers.filter((one) => one !== balancer);
  return { ...(balancer ? { balancer } : {}), name: arn.split('/').at(-2) ?? arn, stale, inTheWay: [] };
}

/** Why the NLB cannot be changed in place, or undefined. */
export function whyUnfit(desired: Desired, seen: SeenBalancer): string | undefined {
  if (seen.state === 'failed') return 'AWS could not make it';
  if (seen.tags[TAG.adopted] !== undefined) return 'it belongs to somebody else';
  if (seen.scheme !== desired.scheme) return `its scheme is ${seen.scheme}, not ${desired.scheme}`;
  if (seen.vpcId !== desired.vpcId) return `it is in ${seen.vpcId}, not ${desired.vpcId}`;
  if (desired.name !== undefined && seen.name !== desired.name) return `its name is ${seen.name}, not ${desired.name}`;
  if (desired.security.kind !== 'none' && seen.securityGroups.length === 0) return 'it was made without security groups';
  if (desired.security.kind === 'none' && seen.securityGroups.length > 0) return 'it was made with security groups';
  for (const zone of desired.zones) {
    const had = seen.zones.find((one) => one.zone === zone.zone);
    if (had && had.subnetId !== zone.subnetId) return `in ${zone.zone} it is in ${had.subnetId}, not ${zone.subnetId}`;
    if (had && !hasAddresses(had, zone)) return `in ${zone.zone} it has other addresses than those that are asked for`;
  }
  return undefined;
}

function hasAddresses({ addresses }: SeenZone, { allocationId, privateIpv4, ipv6 }: DesiredZone): boolean {
  const [first] = addresses;
  if (allocationId !== undefined && first?.allocationId !== allocationId) return false;
  if (allocationId === undefined && first?.allocationId !== undefined) return false;
  if (privateIpv4 !== undefined && !addresses.some((one) => one.privateIpv4 === privateIpv4)) return false;
  return ipv6 === undefined || addresses.some((one) => one.ipv6 === ipv6);
}

/** Why two cannot be there at once, or undefined. */
function clash(desired: Desired, old: SeenBalancer): string | undefined {
  if (desired.name === old.name) return `both would be called ${old.name}`;
  const held = old.zones.flatMap(({ addresses }) => addresses.flatMap((one) => [one.allocationId, one.privateIpv4, one.ipv6]));
  const wanted = desired.zones
    .flatMap((zone) => [zone.allocationId, zone.privateIpv4, zone.ipv6])
    .filter((one) => one !== undefined);
  const both = wanted.find((one) => held.includes(one));
  return both === undefined ? undefined : `both would have ${both}`;
}

function freshName(desired: Desired, stale: readonly SeenBalancer[]): string {
  if (desired.name !== undefined) return desired.name;
  for (let attempt = 0; ; attempt += 1) {
    const identity = [desired.tags[TAG.cluster], desired.scheme, desired.security.kind, desired.zones, attempt];
    const name = resourceName(desired.key, ...identity);
    if (!stale.some((one) => one.name === name)) return name; // ends: each attempt gives another name
  }
}

/** A target group is tied to one NLB, so its name tells which. */
export function groupName(desired: Desired, balancerName: string, group: DesiredGroup): string {
  return resourceName(desired.key, desired.tags[TAG.cluster], balancerName, group.serves, group.protocol);
}

export function frontendName(desired: Desired, balancerName: string): string {
  return resourceName(desired.key, desired.tags[TAG.cluster], balancerName, 'clients');
}

/** Of the instances that could be targets: which of them an NLB takes follows from its configuration. */
export function targetsHash({ targets }: Desired): string {
  return shortHash(targets.eligible);
}

/** The fingerprints that an NLB carries once all is as it is wanted. */
export function recordOf(desired: Desired): Tags {
  return { [TAG.applied]: desired.config, [TAG.targets]: desired.asAll ? AS_ALL : targetsHash(desired) };
}

/** Whether the tags alone prove that everything but the targets is as it is wanted. */
export function isConfigured(desired: Desired, { balancer, name }: Current, attached: ReadonlySet<string>): boolean {
  if (balancer?.tags[TAG.applied] !== desired.config) return false;
  return groupsOf(desired.listeners).every((group) => attached.has(groupName(desired, name, group)));
}

/** Whether the tags alone prove that the targets are as they are wanted. @param note as it stands on the shared group */
export function hasProvenTargets(desired: Desired, { balancer }: Current, note: string | undefined): boolean {
  if (balancer?.tags[TAG.targets] !== recordOf(desired)[TAG.targets]) return false;
  return !desired.asAll || note === targetsHash(desired);
}
