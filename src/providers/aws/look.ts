import type { Bench } from './bench.ts';
import { type Current, chooseOrNot, groupName, hasProvenTargets, isConfigured } from './current.ts';
import type { Desired } from './desired.ts';
import { isCalled } from './failures.ts';
import { TAG } from './names.ts';
import { isRecorded, sortTargets } from './own-targets.ts';
import type { SeenBalancer, SeenGroup, SeenListener } from './picture.ts';
import { isChangingZones } from './plan-zones.ts';
import { wantedTargets } from './room.ts';
import { groupsOf } from './shares.ts';

/**
 * Listeners, attributes and targets are read only where the tags do not prove that they are as they should be.
 * @param isMoving Services come from another balancer or go to one
 * @throws what AWS says where it cannot be read: what is not known must not be taken for done
 */
export async function lookIfNeeded(bench: Bench, desired: Desired, isMoving: boolean): Promise<void> {
  const { balancers, groups } = bench.inventory.of(desired.key);
  if (balancers.length + groups.length === 0) return;
  const current = chooseOrNot(desired, balancers);
  if (!current) return;
  const attached = new Set(
    groups.filter(({ balancerArns }) => balancerArns.includes(current.balancer?.arn ?? '')).map(({ name }) => name),
  );
  const isChanging = current.stale.length > 0 || (current.balancer !== undefined && isChangingZones(desired, current.balancer));
  if (isMoving || isChanging || !isConfigured(desired, current, attached)) return lookCloser(bench, desired, current);
  const note = bench.inventory.backend()?.tags[TAG.targets];
  if (hasProvenTargets(desired, current, note)) takeProvenTargets(bench, desired, current);
  else await lookAtTargets(bench, desired, current);
}

/** Reads what an identity sweep does not show of one balancer, as far as it is not known and matters; what is to be replaced included. */
async function lookCloser(bench: Bench, desired: Desired, { balancer, name }: Current): Promise<void> {
  const wanted = new Map(groupsOf(desired.listeners).map((group) => [groupName(desired, name, group), group]));
  const groups = bench.inventory
    .of(desired.key)
    .groups.filter(
      ({ name: own, balancerArns, tags }) => wanted.has(own) || (balancerArns.length > 0 && tags[TAG.retired] === undefined),
    );
  await Promise.all([
    ...(balancer ? [lookAtBalancer(bench, desired, balancer.arn)] : []),
    ...groups.map((group) => lookAtGroup(bench, group, Object.keys(wanted.get(group.name)?.attributes ?? {}).length > 0)),
  ]);
}

/** Takes the targets for known, because the tags prove them: when a node comes nobody needs to read which ones there are. */
function takeProvenTargets({ inventory }: Bench, desired: Desired, { name }: Current): void {
  for (const group of groupsOf(desired.listeners)) {
    const seen = inventory.groupNamed(groupName(desired, name, group));
    if (!seen || seen.targets) continue;
    const targets = wantedTargets(group, desired).map((target) => ({ ...target, state: 'proven' }));
    inventory.groups.set(seen.arn, { ...seen, targets });
  }
}

/** Reads the targets of one balancer as far as they are not known. */
async function lookAtTargets(bench: Bench, desired: Desired, { name }: Current): Promise<void> {
  const wanted = new Set(groupsOf(desired.listeners).map((group) => groupName(desired, name, group)));
  const groups = bench.inventory.of(desired.key).groups.filter((group) => wanted.has(group.name));
  const unknown = groups.filter(({ targets }) => targets === undefined);
  await Promise.all(unknown.map((group) => lookAtGroup(bench, group, false)));
}

/** Reads the targets of these groups and how their NLBs balance, as far as it is not known. */
export async function lookAtStanding(bench: Bench, groups: readonly SeenGroup[]): Promise<void> {
  const { inventory, reader } = bench;
  const arns = [...new Set(groups.flatMap(({ balancerArns }) => balancerArns))];
  await Promise.all([
    ...groups.filter(({ targets }) => targets === undefined).map((group) => lookAtGroup(bench, group, false)),
    ...arns.map(async (arn) => {
      if (inventory.balancers.get(arn)?.attributes !== undefined) return;
      const attributes = await reader.balancerAttributes(arn);
      const seen = inventory.balancers.get(arn);
      if (seen) inventory.balancers.set(arn, { ...seen, attributes });
    }),
  ]);
}

/** Reads how the targets of a balancer fare, whatever is known of them. */
export async function lookAtHealth({ inventory, reader, now }: Bench, key: string): Promise<void> {
  const groups = inventory.of(key).groups.filter(({ balancerArns }) => balancerArns.length > 0);
  await Promise.all(
    groups.map(async ({ arn }) => {
      const read = await reader.targets(arn);
      const had = inventory.groups.get(arn);
      if (had) inventory.groups.set(arn, { ...had, ...sortTargets(had.tags, read), healthAt: now() });
    }),
  );
}

/** What others have in a group that is about to go is looked at so often, until they have left it. */
const OTHERS_MS = 30_000;

/** Reads who else has targets in groups of the key that nobody wants any more: they do not go before these have gone. */
export async function lookAtOthers(bench: Bench, key: string, desired: Desired | undefined): Promise<void> {
  const { inventory, reader, now } = bench;
  const wanted = desired && new Set(wantedNames(desired, inventory.of(key).balancers));
  const going = inventory.of(key).groups.filter((group) => isRecorded(group) && wanted?.has(group.name) !== true);
  const due = going.filter(({ others, healthAt }) => others === undefined || now() - healthAt >= OTHERS_MS);
  await Promise.all(
    due.map(async ({ arn }) => {
      const read = await reader.targets(arn).catch((thrown: unknown) => {
        if (isCalled(thrown, 'TargetGroupNotFoundException')) return [];
        throw thrown;
      });
      const had = inventory.groups.get(arn);
      if (had) inventory.groups.set(arn, { ...had, ...sortTargets(had.tags, read), healthAt: now() });
    }),
  );
}

function wantedNames(desired: Desired, balancers: readonly SeenBalancer[]): readonly string[] {
  const current = chooseOrNot(desired, balancers);
  return current ? groupsOf(desired.listeners).map((group) => groupName(desired, current.name, group)) : [];
}

async function lookAtBalancer({ reader, inventory }: Bench, desired: Desired, arn: string): Promise<void> {
  const seen = inventory.balancers.get(arn);
  if (!seen) return;
  const [listeners, attributes, capacityUnits] = await Promise.all([
    seen.listeners ?? readListeners(reader, desired, arn),
    seen.attributes ?? (Object.keys(desired.attributes).length > 0 ? reader.balancerAttributes(arn) : undefined),
    seen.capacityUnits ?? (desired.capacityUnits === undefined ? undefined : reader.capacity(arn)),
  ]);
  const now = inventory.balancers.get(arn);
  if (!now) return;
  inventory.balancers.set(arn, {
    ...now,
    listeners: now.listeners ?? listeners,
    ...(attributes ? { attributes: { ...attributes, ...now.attributes } } : {}),
    ...(capacityUnits === undefined ? {} : { capacityUnits }),
  });
}

async function readListeners(reader: Bench['reader'], desired: Desired, arn: string): Promise<readonly SeenListener[]> {
  const asked = new Map(desired.listeners.map(({ port, attributes }) => [port, Object.keys(attributes).length > 0]));
  const found = await reader.listeners(arn);
  return Promise.all(
    found.map(async (one) => (asked.get(one.port) ? { ...one, attributes: await reader.listenerAttributes(one.arn) } : one)),
  );
}

/** What others see of targets matters here, too. */
function isRead({ targets }: SeenGroup): boolean {
  return targets !== undefined && !targets.some(({ state }) => state === 'proven');
}

async function lookAtGroup({ reader, inventory, now }: Bench, { arn }: SeenGroup, needsAttributes: boolean): Promise<void> {
  const seen = inventory.groups.get(arn);
  if (!seen) return;
  const [read, attributes] = await Promise.all([
    isRead(seen) ? undefined : reader.targets(arn),
    seen.attributes ?? (needsAttributes ? reader.groupAttributes(arn) : undefined),
  ]);
  const had = inventory.groups.get(arn);
  if (!had) return;
  inventory.groups.set(arn, {
    ...had,
    ...(read && !isRead(had) ? { ...sortTargets(had.tags, read), healthAt: now() } : {}),
    ...(attributes ? { attributes: { ...attributes, ...had.attributes } } : {}),
  });
}

/**
 * Reads all of one NLB anew, whatever is known: what somebody else has changed comes to light.
 * @returns how many calls it took, about, and whether something was news
 */
export async function lookAgain(
  { reader, inventory, now }: Bench,
  arn: string,
): Promise<{ readonly calls: number; readonly isNews: boolean }> {
  const before = inventory.balancers.get(arn);
  const groups = [...inventory.groups.values()].filter(({ balancerArns }) => balancerArns.includes(arn));
  if (!before) return { calls: 0, isNews: false };
  const [listeners, attributes] = await Promise.all([reader.listeners(arn), reader.balancerAttributes(arn)]);
  const seen = inventory.balancers.get(arn);
  if (!seen || seen !== before) return { calls: 2, isNews: false }; // a write of ours came between; it is looked at another time
  const kept = listeners.map((one) => {
    const had = seen.listeners?.find((other) => other.arn === one.arn);
    return had?.attributes ? { ...one, attributes: had.attributes } : one;
  });
  inventory.balancers.set(arn, { ...seen, attributes, listeners: kept });
  let isNews = JSON.stringify([seen.listeners, seen.attributes]) !== JSON.stringify([kept, attributes]);
  for (const group of groups) isNews = (await lookAtGroupAgain({ reader, inventory, now }, group)) || isNews;
  return { calls: 2 + 2 * groups.length, isNews };
}

async function lookAtGroupAgain(
  { reader, inventory, now }: Pick<Bench, 'reader' | 'inventory' | 'now'>,
  before: SeenGroup,
): Promise<boolean> {
  const [read, attributes] = await Promise.all([reader.targets(before.arn), reader.groupAttributes(before.arn)]);
  if (inventory.groups.get(before.arn) !== before) return false;
  const sorted = sortTargets(before.tags, read);
  inventory.groups.set(before.arn, { ...before, ...sorted, attributes, healthAt: now() });
  return JSON.stringify([before.targets, before.attributes]) !== JSON.stringify([sorted.targets, attributes]);
}

/** Whether addresses of an NLB's interfaces are still to be learnt. One that gets a zone serves on by those that it has. */
export function lacksAddresses({ state, ips, zones, ipAddressType, tags }: SeenBalancer): boolean {
  if (state === 'provisioning') return tags[TAG.zones] !== undefined && ips === undefined;
  return state === 'active' && (ips?.length ?? 0) < zones.length * (ipAddressType === 'dualstack' ? 2 : 1);
}

/** Reads the addresses of an NLB's interfaces, once it is active and as long as they are not known. */
export async function lookAtInterfaces({ reader, inventory }: Bench, { arn }: SeenBalancer): Promise<void> {
  const ips = await reader.interfaceIps(arn);
  const seen = inventory.balancers.get(arn);
  if (seen && (seen.tags[TAG.zones] !== undefined || !lacksAddresses({ ...seen, ips })))
    inventory.balancers.set(arn, { ...seen, ips });
}
