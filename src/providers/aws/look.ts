import type { Bench } from './bench.ts';
import { type Current, groupName } from './current.ts';
import type { Desired } from './desired.ts';
import type { SeenGroup, SeenListener } from './picture.ts';

/** Reads what an identity sweep does not show of one balancer, as far as it is not known and matters. */
export async function lookCloser(bench: Bench, desired: Desired, { balancer, name }: Current): Promise<void> {
  const wanted = new Map(desired.listeners.map(({ group }) => [groupName(desired, name, group), group]));
  const groups = bench.inventory.of(desired.key).groups.filter((group) => wanted.has(group.name));
  await Promise.all([
    ...(balancer ? [lookAtBalancer(bench, desired, balancer.arn)] : []),
    ...groups.map((group) => lookAtGroup(bench, group, Object.keys(wanted.get(group.name)?.attributes ?? {}).length > 0)),
  ]);
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

async function lookAtGroup({ reader, inventory, now }: Bench, { arn }: SeenGroup, needsAttributes: boolean): Promise<void> {
  const seen = inventory.groups.get(arn);
  if (!seen) return;
  const [targets, attributes] = await Promise.all([
    seen.targets ?? reader.targets(arn),
    seen.attributes ?? (needsAttributes ? reader.groupAttributes(arn) : undefined),
  ]);
  const had = inventory.groups.get(arn);
  if (!had) return;
  inventory.groups.set(arn, {
    ...had,
    ...(had.targets ? {} : { targets, healthAt: now() }),
    ...(attributes ? { attributes: { ...attributes, ...had.attributes } } : {}),
  });
}
