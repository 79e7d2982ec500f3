import {
  CreateTargetGroupCommand,
  DeleteTargetGroupCommand,
  DeregisterTargetsCommand,
  ModifyTargetGroupAttributesCommand,
  ModifyTargetGroupCommand,
  type ProtocolEnum,
  RegisterTargetsCommand,
  RemoveTagsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import pRetry from 'p-retry';
import { Refusal } from '../../errors.ts';
import { freshGroup, writeAttributes, writeCheck, writeTags } from './answers.ts';
import { type ActOf, type Bench, groupOf } from './bench.ts';
import { isCalled, wasAnswered } from './failures.ts';
import type { Inventory } from './inventory.ts';
import { TAG } from './names.ts';
import { sayOthers, sortAgain, sortTargets } from './own-targets.ts';
import type { SeenTarget } from './picture.ts';
import { batches } from './reader.ts';
import { targetId } from './room.ts';

/** Resources that AWS tags with one call. */
const ARNS_MAX = 20;
/** A target group of a deleted NLB counts as in use for a moment longer. */
const STILL_IN_USE = { retries: 4, minTimeout: 200, factor: 2 } as const;

export async function createGroup({ calls, reader, inventory }: Bench, { spec }: ActOf<'create-target-group'>): Promise<void> {
  if (inventory.groupNamed(spec.name)) return;
  const input = {
    Name: spec.name,
    Protocol: spec.protocol as ProtocolEnum,
    Port: spec.port,
    VpcId: spec.vpcId,
    TargetType: 'instance' as const,
    IpAddressType: 'ipv4' as const,
    ...writeCheck(spec.check),
    Tags: writeTags(spec.tags),
  };
  try {
    const answer = await calls.elb('CreateTargetGroup', (elb) => elb.send(new CreateTargetGroupCommand(input)));
    inventory.put('groups', freshGroup(answer.TargetGroups![0]!.TargetGroupArn!, spec));
  } catch (thrown) {
    if (!isCalled(thrown, 'DuplicateTargetGroupNameException')) throw thrown;
    const [found] = await reader.groups({ Names: [spec.name] });
    const arn = found?.TargetGroupArn ?? '';
    const tags = found && (await reader.tags([arn])).get(arn);
    if (!tags || tags[TAG.cluster] !== spec.tags[TAG.cluster] || tags[TAG.balancer] !== spec.tags[TAG.balancer]) throw thrown;
    const { targets: _, attributes: __, ...known } = freshGroup(arn, { ...spec, tags });
    const sorted = sortTargets(tags, await reader.targets(arn));
    inventory.put('groups', { ...known, ...sorted, attributes: await reader.groupAttributes(arn) });
  }
}

export async function changeGroup(bench: Bench, act: ActOf<'change-health-check' | 'set-group-attributes'>): Promise<void> {
  const seen = groupOf(bench, act.group);
  const TargetGroupArn = seen.arn;
  if (act.kind === 'change-health-check') {
    const input = { TargetGroupArn, ...writeCheck(act.check) };
    await bench.calls.elb('ModifyTargetGroup', (elb) => elb.send(new ModifyTargetGroupCommand(input)));
    bench.inventory.put('groups', { ...groupOf(bench, act.group), check: act.check });
    return;
  }
  const input = { TargetGroupArn, Attributes: writeAttributes(act.attributes) };
  await bench.calls.elb('ModifyTargetGroupAttributes', (elb) => elb.send(new ModifyTargetGroupAttributesCommand(input)));
  bench.inventory.put('groups', { ...groupOf(bench, act.group), attributes: { ...seen.attributes, ...act.attributes } });
}

export async function moveTargets(
  bench: Bench,
  { kind, group, targets, basis }: ActOf<'register-targets' | 'deregister-targets'>,
): Promise<void> {
  if (basis !== undefined) await bench.ledger.begin(basis);
  const { arn } = groupOf(bench, group);
  const input = { TargetGroupArn: arn, Targets: targets.map(({ id, port }) => ({ Id: id, Port: port })) };
  const named = new Set(targets.map(targetId));
  const put = (change: (had: readonly SeenTarget[]) => readonly SeenTarget[]): void => {
    const now = groupOf(bench, group);
    const others = now.others?.filter((one) => !named.has(targetId(one)));
    bench.inventory.put('groups', { ...now, targets: change(now.targets ?? []), ...(others ? { others } : {}) });
  };
  if (kind === 'register-targets') {
    await sure(bench, arn, () => bench.calls.elb('RegisterTargets', (elb) => elb.send(new RegisterTargetsCommand(input))));
    put((had) => [...had.filter((one) => !named.has(targetId(one))), ...targets.map((one) => ({ ...one, state: 'unread' }))]);
    return;
  }
  await sure(bench, arn, () => bench.calls.elb('DeregisterTargets', (elb) => elb.send(new DeregisterTargetsCommand(input))));
  put((had) => had.filter((one) => !named.has(targetId(one))));
}

/** Where nobody knows whether AWS did it, the targets are read again: the next pass may want something else. */
async function sure({ reader, inventory, now }: Bench, arn: string, send: () => Promise<unknown>): Promise<void> {
  try {
    await send();
  } catch (thrown) {
    if (wasAnswered(thrown)) throw thrown;
    const targets = await reader.targets(arn).catch(() => undefined);
    const had = inventory.groups.get(arn);
    if (had && targets) inventory.put('groups', { ...had, ...sortTargets(had.tags, targets), healthAt: now() });
    throw thrown;
  }
}

/** Looks a last time before a group that others use, too, is taken away. @throws {Refusal} while it holds targets of theirs */
export async function spareOthers({ reader, inventory, now }: Bench, { group }: ActOf<'spare-others'>): Promise<void> {
  const arn = inventory.groupNamed(group)?.arn;
  if (arn === undefined) return;
  const read = await reader.targets(arn).catch((thrown: unknown) => {
    if (isCalled(thrown, 'TargetGroupNotFoundException')) return [];
    throw thrown;
  });
  const had = inventory.groups.get(arn);
  if (!had) return;
  const sorted = sortTargets(had.tags, read);
  inventory.groups.set(arn, { ...had, ...sorted, healthAt: now() });
  const { others = [] } = sorted;
  if (others.length > 0) throw new Refusal('TargetsOfOthers', `Target group ${group} stays, as it holds ${sayOthers(others)}`);
}

export async function deleteGroup({ calls, inventory }: Bench, { group }: ActOf<'delete-target-group'>): Promise<void> {
  const seen = inventory.groupNamed(group);
  if (!seen) return;
  const send = () =>
    calls.elb('DeleteTargetGroup', (elb) => elb.send(new DeleteTargetGroupCommand({ TargetGroupArn: seen.arn })));
  await pRetry(send, { ...STILL_IN_USE, shouldRetry: ({ error }) => isCalled(error, 'ResourceInUseException') });
  inventory.remove('groups', seen.arn);
}

/** Tags of listeners are written and never read: those of the NLB, which are written after them, stand for them. */
export async function tagListeners({ tagging, reader, inventory }: Bench, act: ActOf<'tag-listeners'>): Promise<void> {
  const seen = inventory.balancerNamed(act.balancer);
  if (!seen) return;
  const listeners = seen.listeners ?? (await reader.listeners(seen.arn));
  const arns = listeners.map(({ arn }) => arn);
  for (const batch of batches(arns, ARNS_MAX)) await tagging.add(batch, act.tags);
}

/** A call for each 20 resources, in their order; security groups have a call of their own. */
export async function changeTags({ calls, tagging, inventory }: Bench, act: ActOf<'add-tags' | 'remove-tags'>): Promise<void> {
  const found = act.resources.flatMap((name) => inventory.balancerNamed(name) ?? inventory.groupNamed(name) ?? []);
  for (const batch of batches(found, ARNS_MAX)) {
    const ResourceArns = batch.map(({ arn }) => arn);
    if (act.kind === 'add-tags') {
      await tagging.add(ResourceArns, act.tags);
    } else {
      await calls.elb('RemoveTags', (elb) => elb.send(new RemoveTagsCommand({ ResourceArns, TagKeys: [...act.tags] })));
    }
    for (const arn of ResourceArns) retag(inventory, arn, act);
  }
}

function retag(inventory: Inventory, arn: string, act: ActOf<'add-tags' | 'remove-tags'>): void {
  const change = (tags: Readonly<Record<string, string>>) =>
    act.kind === 'add-tags'
      ? { ...tags, ...act.tags }
      : Object.fromEntries(Object.entries(tags).filter(([name]) => !act.tags.includes(name)));
  const balancer = inventory.balancers.get(arn);
  const group = inventory.groups.get(arn);
  const isReleased = act.kind === 'remove-tags' && act.tags.includes(TAG.cluster);
  if (isReleased) inventory.remove(balancer ? 'balancers' : 'groups', arn);
  if (isReleased) return;
  if (balancer) inventory.put('balancers', { ...balancer, tags: change(balancer.tags) });
  if (group) inventory.put('groups', sortAgain({ ...group, tags: change(group.tags) }));
}
