import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { list, oneOf, record, text, whole } from '../shapes.ts';
import { arnPrefix, type NlbProtocol, type TargetGroup, type World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { checkArn, loadBalancer, targetGroup } from './found.ts';
import { askedCheck, healthFields, healthXml } from './health-checks.ts';
import { checkNamed, pageFields, pageOf } from './paging.ts';
import { mergeTags, sortedTags, tagsShape } from './tag-rules.ts';
import { groupsOf } from './target-counts.ts';
import { newGroupAttributes } from './target-group-attributes.ts';

const protocols = oneOf('HTTP', 'HTTPS', 'TCP', 'TLS', 'UDP', 'TCP_UDP', 'GENEVE', 'QUIC', 'TCP_QUIC');

const create = record(
  {
    Name: text,
    Protocol: protocols,
    Port: whole(1, 65535),
    VpcId: text,
    TargetType: oneOf('instance', 'ip', 'lambda', 'alb'),
    IpAddressType: oneOf('ipv4', 'ipv6'),
    Tags: tagsShape,
    ...healthFields,
  },
  ['Name'],
);
type Create = ReturnType<typeof create>;

const find = record({ LoadBalancerArn: text, TargetGroupArns: list(text), Names: list(text), ...pageFields });
const modify = record({ TargetGroupArn: text, ...healthFields }, ['TargetGroupArn']);
const drop = record({ TargetGroupArn: text }, ['TargetGroupArn']);

export const targetGroupActions: Actions = {
  CreateTargetGroup: action(create, createTargetGroup),
  DescribeTargetGroups: action(find, describeTargetGroups),
  ModifyTargetGroup: action(modify, (world, input) => {
    const group = targetGroup(world, input.TargetGroupArn);
    group.check = askedCheck(group.check, input);
    return { TargetGroups: [targetGroupXml(group)] };
  }),
  DeleteTargetGroup: action(drop, deleteTargetGroup),
};

function createTargetGroup(world: World, input: Create): XmlObject {
  checkName(input.Name);
  const { protocol, port, vpcId, targetType } = checkTraffic(world, input);
  const check = askedCheck(undefined, input);
  const tagged = world.tagsAreSettings ? sortedTags(input.Tags) : [];
  const asked = JSON.stringify([protocol, port, vpcId, targetType, input.IpAddressType ?? 'ipv4', check, tagged]);
  const same = world.targetGroups.find(({ name }) => name === input.Name);
  if (same?.asked === asked) return { TargetGroups: [targetGroupXml(same)] };
  if (same) {
    const message = `A target group with the same name '${input.Name}' exists, but with different settings`;
    throw new AwsFailure('DuplicateTargetGroupName', message);
  }
  const tags = mergeTags(world, undefined, input.Tags);
  if (world.targetGroups.size >= world.limits.targetGroups) {
    const message = `The maximum number of target groups has been reached: ${world.limits.targetGroups}`;
    throw new AwsFailure('TooManyTargetGroups', message);
  }
  const group: TargetGroup = {
    arn: `${arnPrefix(world)}targetgroup/${input.Name}/${world.newId(16)}`,
    name: input.Name,
    protocol,
    port,
    vpcId,
    targetType,
    addressType: input.IpAddressType ?? 'ipv4',
    asked,
    check,
    attributes: newGroupAttributes({ protocol, targetType }),
    targets: new Map(),
    users: new Map(),
    releasedAt: Number.NEGATIVE_INFINITY,
  };
  world.targetGroups.put(group.arn, group);
  if (tags.size > 0) world.tags.set(group.arn, tags);
  return { TargetGroups: [targetGroupXml(group)] };
}

function checkName(name: string): void {
  const refuse = (why: string) => new AwsFailure('ValidationError', `Target group name '${name}' ${why}`);
  if (name.length > 32) throw refuse("cannot be longer than '32' characters");
  if (!/^[A-Za-z0-9-]+$/.test(name)) throw refuse('can only contain characters that are alphanumeric characters or hyphens(-)');
  if (/^-|-$/.test(name)) throw refuse('cannot begin or end with a hyphen(-)');
}

function checkTraffic(world: World, { Protocol, Port, VpcId, TargetType }: Create) {
  const refuse = (message: string) => new AwsFailure('ValidationError', message);
  const targetType = TargetType ?? 'instance';
  if (targetType !== 'instance' && targetType !== 'ip') throw refuse(`The sandbox has no target groups of type '${targetType}'`);
  if (Protocol === undefined) throw refuse('A protocol must be specified');
  if (!isNlbProtocol(Protocol)) throw refuse(`The sandbox has no target groups with the protocol '${Protocol}'`);
  if (Port === undefined) throw refuse('A port must be specified');
  if (VpcId === undefined) throw refuse('A VPC ID must be specified');
  if (!world.vpcs.has(VpcId)) throw refuse(`The VPC ID '${VpcId}' is not found`);
  return { protocol: Protocol, port: Port, vpcId: VpcId, targetType } as const;
}

export function isNlbProtocol(protocol: string): protocol is NlbProtocol {
  return protocol === 'TCP' || protocol === 'TLS' || protocol === 'UDP' || protocol === 'TCP_UDP';
}

function describeTargetGroups(world: World, input: ReturnType<typeof find>): XmlObject {
  const { LoadBalancerArn, TargetGroupArns: arns, Names: names } = input;
  if ([LoadBalancerArn, arns?.length, names?.length].filter(Boolean).length > 1) {
    const message = 'Only one of load balancer ARN, target group ARNs and target group names can be specified';
    throw new AwsFailure('ValidationError', message);
  }
  checkNamed(arns ?? names, 'target groups');
  const { page, next } = pageOf(wanted(), ({ arn }) => arn, input);
  return { TargetGroups: page.map(targetGroupXml), NextMarker: next };

  function wanted(): readonly TargetGroup[] {
    if (LoadBalancerArn !== undefined) return [...groupsOf(world, loadBalancer(world, LoadBalancerArn))];
    if (arns?.length) return arns.map(byArn);
    const seen = world.targetGroups.allSeen();
    if (!names?.length) return seen;
    const missing = names.find((name) => !seen.some((one) => one.name === name));
    if (missing !== undefined) throw new AwsFailure('TargetGroupNotFound', `Target groups '${missing}' not found`);
    return seen.filter(({ name }) => names.includes(name));
  }

  function byArn(arn: string): TargetGroup {
    checkArn(arn, 'targetgroup', 'target group');
    const group = world.targetGroups.seen(arn);
    if (!group) throw new AwsFailure('TargetGroupNotFound', `Target groups '${arn}' not found`);
    return group;
  }
}

/** What is gone already deletes without complaint; what a listener uses, or used until a moment ago, does not go. */
function deleteTargetGroup(world: World, { TargetGroupArn: arn }: ReturnType<typeof drop>): XmlObject {
  checkArn(arn, 'targetgroup', 'target group');
  const group = world.targetGroups.get(arn);
  if (!group) return {};
  if (group.users.size > 0 || world.now() < group.releasedAt) {
    throw new AwsFailure('ResourceInUse', `Target group '${arn}' is currently in use by a listener or a rule`);
  }
  world.targetGroups.remove(arn);
  world.tags.delete(arn);
  return {};
}

function targetGroupXml(group: TargetGroup): XmlObject {
  return {
    TargetGroupArn: group.arn,
    TargetGroupName: group.name,
    Protocol: group.protocol,
    Port: group.port,
    VpcId: group.vpcId,
    ...healthXml(group.check),
    LoadBalancerArns: [...new Set([...group.users.values()].map(({ loadBalancerArn }) => loadBalancerArn))],
    TargetType: group.targetType,
    IpAddressType: group.addressType,
  };
}
