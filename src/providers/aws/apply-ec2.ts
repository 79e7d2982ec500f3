import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  CreateTagsCommand,
  DeleteSecurityGroupCommand,
  DeleteTagsCommand,
  RevokeSecurityGroupIngressCommand,
} from '@aws-sdk/client-ec2';
import { writeRule, writeTags } from './answers.ts';
import { type ActOf, type Bench, Vanished } from './bench.ts';
import { isCalled } from './failures.ts';
import { SHARED, SHARED_GROUP, TAG } from './names.ts';
import type { Rule, SeenSecurityGroup } from './picture.ts';
import { backendName } from './plan-security.ts';
import { ruleId } from './rules.ts';

/** Network interfaces of a deleted NLB keep its groups in use for a minute or two: tried soon, and then less and less often. */
const BUSY_FIRST_MS = 500;
const BUSY_MOST_MS = 15_000;

export function createSecurityGroup(bench: Bench, act: ActOf<'create-security-group'>): Promise<void> {
  return bench.turns.take(act.group, () => makeSecurityGroup(bench, act));
}

async function makeSecurityGroup(
  { calls, reader, inventory, clusterName }: Bench,
  act: ActOf<'create-security-group'>,
): Promise<void> {
  const isShared = act.group === SHARED_GROUP;
  const name = isShared ? backendName(clusterName) : act.group;
  if (isShared ? inventory.backend() : inventory.securityGroupNamed(name)) return;
  const input = {
    GroupName: name,
    Description: isShared ? `nodeport-lb: NLBs of cluster ${clusterName} send from here` : `nodeport-lb: clients of ${act.key}`,
    VpcId: act.vpcId,
    TagSpecifications: [{ ResourceType: 'security-group' as const, Tags: writeTags({ Name: name, ...act.tags }) }],
  };
  try {
    const answer = await calls.ec2('CreateSecurityGroup', (ec2) => ec2.send(new CreateSecurityGroupCommand(input)));
    inventory.put('securityGroups', {
      id: answer.GroupId!,
      name,
      vpcId: act.vpcId,
      tags: { Name: name, ...act.tags },
      rules: [],
    });
  } catch (thrown) {
    if (!isCalled(thrown, 'InvalidGroup.Duplicate')) throw thrown;
    const [found] = await reader.securityGroups({ 'group-name': [name], 'vpc-id': [act.vpcId] });
    if (!found || found.tags[TAG.cluster] !== act.tags[TAG.cluster] || found.tags[TAG.balancer] !== act.tags[TAG.balancer])
      throw thrown;
    inventory.put('securityGroups', found); // made by a try of ours whose answer was lost
  }
}

export function changeTraffic(bench: Bench, act: ActOf<'allow-traffic' | 'revoke-traffic'>): Promise<void> {
  return bench.turns.take(act.group, () => exchangeTraffic(bench, act));
}

/** AWS itself says whether a group has room: what a prefix list weighs nobody else knows. */
async function exchangeTraffic(
  bench: Bench,
  { instead = [], ...change }: ActOf<'allow-traffic' | 'revoke-traffic'>,
): Promise<void> {
  try {
    await moveTraffic(bench, change);
  } catch (thrown) {
    if (instead.length === 0 || !isCalled(thrown, 'RulesPerSecurityGroupLimitExceeded')) throw thrown;
    await moveTraffic(bench, { kind: 'revoke-traffic', group: change.group, rules: instead });
    await moveTraffic(bench, change).catch(async (again: unknown) => {
      await moveTraffic(bench, { kind: 'allow-traffic', group: change.group, rules: instead });
      throw again;
    });
  }
}

async function moveTraffic(bench: Bench, { kind, group, rules }: ActOf<'allow-traffic' | 'revoke-traffic'>): Promise<void> {
  const resolved = rules.map((rule) =>
    rule.source === SHARED_GROUP ? { ...rule, source: groupOf(bench, SHARED_GROUP).id } : rule,
  );
  const isDue = (seen: SeenSecurityGroup, rule: Rule): boolean =>
    seen.rules.some((one) => ruleId(one) === ruleId(rule)) === (kind === 'revoke-traffic');
  const due = resolved.filter((rule) => isDue(groupOf(bench, group), rule));
  if (due.length === 0) return;
  try {
    await sendTraffic(bench, kind, groupOf(bench, group).id, due);
    notePut(bench, group, kind, due);
  } catch (thrown) {
    if (!isCalled(thrown, 'InvalidPermission.Duplicate', 'InvalidPermission.NotFound')) throw thrown;
    await reread(bench, group); // a try of ours whose answer was lost, or somebody else's; AWS does all of a call or nothing
    const left = resolved.filter((rule) => isDue(groupOf(bench, group), rule));
    if (left.length > 0) await sendTraffic(bench, kind, groupOf(bench, group).id, left);
    notePut(bench, group, kind, left);
  }
}

async function sendTraffic(
  { calls }: Bench,
  kind: 'allow-traffic' | 'revoke-traffic',
  GroupId: string,
  rules: readonly Rule[],
): Promise<void> {
  const IpPermissions = rules.map(writeRule);
  if (kind === 'allow-traffic') {
    await calls.ec2('AuthorizeSecurityGroupIngress', (ec2) =>
      ec2.send(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions })),
    );
  } else {
    await calls.ec2('RevokeSecurityGroupIngress', (ec2) =>
      ec2.send(new RevokeSecurityGroupIngressCommand({ GroupId, IpPermissions })),
    );
  }
}

function notePut(bench: Bench, group: string, kind: 'allow-traffic' | 'revoke-traffic', rules: readonly Rule[]): void {
  const seen = groupOf(bench, group);
  const changed = new Set(rules.map(ruleId));
  const others = seen.rules.filter((rule) => !changed.has(ruleId(rule)));
  put(bench, { ...seen, rules: kind === 'allow-traffic' ? [...others, ...rules] : others });
}

async function reread(bench: Bench, group: string): Promise<void> {
  const { id } = groupOf(bench, group);
  const [found] = await bench.reader.securityGroups({ 'group-id': [id] });
  if (found) put(bench, found);
}

function put({ inventory }: Bench, group: SeenSecurityGroup): void {
  inventory.put(inventory.securityGroups.has(group.id) ? 'securityGroups' : 'nodeGroups', group);
}

export async function deleteSecurityGroup(bench: Bench, { group }: ActOf<'delete-security-group'>): Promise<void> {
  const seen = find(bench, group);
  if (!seen) return;
  try {
    await bench.calls.ec2('DeleteSecurityGroup', (ec2) => ec2.send(new DeleteSecurityGroupCommand({ GroupId: seen.id })));
  } catch (thrown) {
    if (isCalled(thrown, 'DependencyViolation')) {
      const busyMs = Math.min(BUSY_MOST_MS, (seen.busyMs ?? BUSY_FIRST_MS / 2) * 2);
      bench.inventory.put('securityGroups', { ...seen, busyMs, busyUntil: bench.now() + busyMs });
      return;
    }
    if (!isCalled(thrown, 'InvalidGroup.NotFound')) throw thrown;
  }
  bench.inventory.remove('securityGroups', seen.id);
}

/** The shared group stays the cluster's and is kept; another one loses its tags and is nobody's. */
export async function releaseSecurityGroup(bench: Bench, { group }: ActOf<'release-security-group'>): Promise<void> {
  const seen = find(bench, group);
  if (!seen) return;
  const Resources = [seen.id];
  if (seen.tags[TAG.balancer] === SHARED) {
    const tags = { [TAG.retain]: 'true' };
    await bench.calls.ec2('CreateTags', (ec2) => ec2.send(new CreateTagsCommand({ Resources, Tags: writeTags(tags) })));
    bench.inventory.put('securityGroups', { ...seen, tags: { ...seen.tags, ...tags } });
    return;
  }
  const Tags = Object.values(TAG).map((Key) => ({ Key }));
  await bench.calls.ec2('DeleteTags', (ec2) => ec2.send(new DeleteTagsCommand({ Resources, Tags })));
  bench.inventory.remove('securityGroups', seen.id);
}

export async function tagSecurityGroup(bench: Bench, { group, tags }: ActOf<'tag-security-group'>): Promise<void> {
  const { id } = groupOf(bench, group);
  await bench.calls.ec2('CreateTags', (ec2) => ec2.send(new CreateTagsCommand({ Resources: [id], Tags: writeTags(tags) })));
  const seen = groupOf(bench, group);
  put(bench, { ...seen, tags: { ...seen.tags, ...tags } });
}

function find({ inventory }: Bench, group: string): SeenSecurityGroup | undefined {
  if (group === SHARED_GROUP) return inventory.backend();
  return inventory.securityGroupNamed(group) ?? inventory.nodeGroups.get(group) ?? inventory.securityGroups.get(group);
}

function groupOf(bench: Bench, group: string): SeenSecurityGroup {
  const seen = find(bench, group);
  if (!seen) throw new Vanished(`security group ${group} is not there any more`);
  return seen;
}
