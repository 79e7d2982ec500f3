import { type Actions, ec2Action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { flag, list, record, text } from '../shapes.ts';
import type { Rule, SecurityGroup, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { interfacesOf } from './addresses.ts';
import { type Facets, keepMatching } from './filters.ts';
import { pageFields, pageOf } from './paging.ts';
import { describeFields, ids, pick, tagSet } from './resources.ts';
import { permissionsXml } from './rules-xml.ts';
import { mergeTags, specificationShape, tagsFor } from './tags.ts';

const find = record({ ...describeFields, GroupId: ids, GroupName: list(text), ...pageFields(5, 1000) });
const create = record(
  { DryRun: flag, GroupName: text, GroupDescription: text, VpcId: text, TagSpecification: specificationShape },
  ['GroupName', 'GroupDescription'],
);
const drop = record({ DryRun: flag, GroupId: text, GroupName: text });

const facets: Facets<SecurityGroup> = {
  'group-id': ({ id }) => [id],
  'group-name': ({ name }) => [name],
  'vpc-id': ({ vpcId }) => [vpcId],
  description: ({ description }) => [description],
  'ip-permission.group-id': ({ rules }) => [...rules.values()].flatMap(({ peer }) => (peer.kind === 'group' ? peer.value : [])),
};

/** @see https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html */
const allowedText = /^[a-zA-Z0-9. _\-:/()#,@[\]+=&;{}!$*]{1,255}$/;

export const securityGroupActions: Actions = {
  DescribeSecurityGroups: ec2Action(find, (world, input) => {
    const missing = { code: 'InvalidGroup.NotFound', called: 'security group' };
    const all = () => world.securityGroups.allSeen();
    const picked = pick(input.GroupId, (id) => world.securityGroups.seen(id), all, missing);
    const named = input.GroupName?.length ? picked.filter(({ name }) => input.GroupName?.includes(name)) : picked;
    const kept = keepMatching(world, named, input.Filter, facets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, input.GroupId);
    return { securityGroupInfo: page.map((group) => groupXml(world, group)), nextToken: next };
  }),
  CreateSecurityGroup: ec2Action(create, createGroup),
  DeleteSecurityGroup: ec2Action(drop, deleteGroup),
};

/** @throws {AwsFailure} InvalidGroup.NotFound, InvalidGroupId.Malformed */
export function groupById(world: World, id: string | undefined): SecurityGroup {
  if (id === undefined) throw new AwsFailure('MissingParameter', 'The request must contain the parameter groupName or groupId');
  if (!id.startsWith('sg-')) throw new AwsFailure('InvalidGroupId.Malformed', `Invalid id: "${id}" (expecting "sg-...")`);
  const group = world.timings.consistencyMs === 0 ? world.securityGroups.get(id) : lately(world, id);
  if (!group) throw new AwsFailure('InvalidGroup.NotFound', `The security group '${id}' does not exist`);
  return group;
}

/** EC2's writes too find a new group only a little later. */
function lately(world: World, id: string): SecurityGroup | undefined {
  return world.securityGroups.get(id) && world.securityGroups.seen(id);
}

function createGroup(world: World, input: ReturnType<typeof create>): XmlObject {
  const { GroupName: name, GroupDescription: description, VpcId: vpcId } = input;
  if (vpcId === undefined) throw new AwsFailure('VPCIdNotSpecified', 'No default VPC for this user');
  if (!world.vpcs.has(vpcId)) throw new AwsFailure('InvalidVpcID.NotFound', `The vpc ID '${vpcId}' does not exist`);
  const refuse = (what: string, value: string) =>
    new AwsFailure(
      'InvalidParameterValue',
      `Value (${value}) for parameter ${what} is invalid. Character sets beyond ASCII are not supported.`,
    );
  if (!allowedText.test(name)) throw refuse('GroupName', name);
  if (!allowedText.test(description)) throw refuse('GroupDescription', description);
  if (name.startsWith('sg-')) {
    throw new AwsFailure(
      'InvalidParameterValue',
      `invalid value for parameter groupName: ${name}. It may not be in the format sg-*`,
    );
  }
  if (world.securityGroups.find((one) => one.vpcId === vpcId && one.name === name)) {
    throw new AwsFailure('InvalidGroup.Duplicate', `The security group '${name}' already exists for VPC '${vpcId}'`);
  }
  if (world.securityGroups.size >= world.limits.securityGroups) {
    const message = `The maximum number of security groups for VPC '${vpcId}' has been reached.`;
    throw new AwsFailure('SecurityGroupLimitExceeded', message);
  }
  const tags = mergeTags(world, undefined, tagsFor(input.TagSpecification, 'security-group'));
  const id = `sg-${world.newId(17)}`;
  const everything: Rule = {
    id: `sgr-${world.newId(17)}`,
    egress: true,
    protocol: '-1',
    fromPort: undefined,
    toPort: undefined,
    peer: { kind: 'ipv4', value: '0.0.0.0/0' },
    description: undefined,
  };
  world.securityGroups.put(id, { id, name, vpcId, description, rules: new Map([[everything.id, everything]]) });
  if (tags.size > 0) world.tags.set(id, tags);
  return { return: true, groupId: id, securityGroupArn: arnOf(world, id), tagSet: tagSet(world, id) };
}

/** A group that an interface has, that a load balancer has given up a moment ago, or that a rule of another group names, stays. */
function deleteGroup(world: World, { GroupId }: ReturnType<typeof drop>): XmlObject {
  const group = groupById(world, GroupId);
  if (group.name === 'default') {
    throw new AwsFailure('CannotDelete', `the specified group: "${group.id}" name: "default" cannot be deleted by a user`);
  }
  const held = interfacesOf(world).some(({ securityGroups }) => securityGroups.includes(group.id));
  const named = [...world.securityGroups.all()].some(
    ({ id, rules }) => id !== group.id && [...rules.values()].some(({ peer }) => peer.value === group.id),
  );
  const wanted = [...world.loadBalancers.all()].some(({ securityGroups }) => securityGroups.includes(group.id));
  if (held || named || wanted) throw new AwsFailure('DependencyViolation', `resource ${group.id} has a dependent object`);
  world.securityGroups.remove(group.id);
  world.tags.delete(group.id);
  for (const rule of group.rules.keys()) world.tags.delete(rule);
  return { return: true, groupId: group.id };
}

function arnOf(world: World, id: string): string {
  return `arn:aws:ec2:${world.region}:${world.accountId}:security-group/${id}`;
}

function groupXml(world: World, group: SecurityGroup): XmlObject {
  const rules = [...group.rules.values()];
  return {
    groupId: group.id,
    groupName: group.name,
    groupDescription: group.description,
    vpcId: group.vpcId,
    ownerId: world.accountId,
    securityGroupArn: arnOf(world, group.id),
    ipPermissions: permissionsXml(
      world,
      rules.filter(({ egress }) => !egress),
    ),
    ipPermissionsEgress: permissionsXml(
      world,
      rules.filter(({ egress }) => egress),
    ),
    tagSet: tagSet(world, group.id),
  };
}
