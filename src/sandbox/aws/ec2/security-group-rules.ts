import { type Actions, ec2Action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { flag, list, record, text, textOf, whole } from '../shapes.ts';
import type { Rule, SecurityGroup, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { type Facets, keepMatching } from './filters.ts';
import { pageFields, pageOf } from './paging.ts';
import { type AskedRule, inWords, keyOf, permissionsShape, rulesOf, sameRule } from './permissions.ts';
import { describeFields, ids, pick, tagSet } from './resources.ts';
import { ruleXml } from './rules-xml.ts';
import { groupById } from './security-groups.ts';
import { mergeTags, specificationShape, tagsFor } from './tags.ts';

const single = { IpProtocol: text, FromPort: whole(-1, 65535), ToPort: whole(-1, 65535), CidrIp: text };
const authorize = record({
  DryRun: flag,
  GroupId: text,
  IpPermissions: permissionsShape,
  TagSpecification: specificationShape,
  ...single,
});
const revoke = record({
  DryRun: flag,
  GroupId: text,
  IpPermissions: permissionsShape,
  SecurityGroupRuleId: list(text, 1000),
  ...single,
});
const describeAgain = record({
  DryRun: flag,
  GroupId: text,
  IpPermissions: permissionsShape,
  SecurityGroupRuleDescription: list(record({ SecurityGroupRuleId: text, Description: textOf(0, 255) }, ['SecurityGroupRuleId'])),
});
const find = record({ ...describeFields, SecurityGroupRuleId: ids, ...pageFields(5, 1000) });

interface Owned {
  readonly group: SecurityGroup;
  readonly rule: Rule;
}

const facets: Facets<Owned> = {
  'group-id': ({ group }) => [group.id],
  'security-group-rule-id': ({ rule }) => [rule.id],
};

export const securityGroupRuleActions: Actions = {
  DescribeSecurityGroupRules: ec2Action(find, (world, input) => {
    const missing = { code: 'InvalidSecurityGroupRuleId.NotFound', called: 'security group rule ID' };
    const all = world.securityGroups.allSeen().flatMap((group) => [...group.rules.values()].map((rule) => ({ group, rule })));
    const picked = pick(
      input.SecurityGroupRuleId,
      (id) => all.find(({ rule }) => rule.id === id),
      () => all,
      missing,
    );
    const kept = keepMatching(world, picked, input.Filter, facets, ({ rule }) => rule.id);
    const { page, next } = pageOf(kept, input, input.SecurityGroupRuleId);
    return { securityGroupRuleSet: page.map(({ group, rule }) => ruleXml(world, group, rule)), nextToken: next };
  }),
  AuthorizeSecurityGroupIngress: ec2Action(authorize, (world, input) => addRules(world, input, { egress: false })),
  AuthorizeSecurityGroupEgress: ec2Action(authorize, (world, input) => addRules(world, input, { egress: true })),
  RevokeSecurityGroupIngress: ec2Action(revoke, (world, input) => removeRules(world, input, { egress: false })),
  RevokeSecurityGroupEgress: ec2Action(revoke, (world, input) => removeRules(world, input, { egress: true })),
  UpdateSecurityGroupRuleDescriptionsIngress: ec2Action(describeAgain, (world, input) =>
    redescribe(world, input, { egress: false }),
  ),
  UpdateSecurityGroupRuleDescriptionsEgress: ec2Action(describeAgain, (world, input) =>
    redescribe(world, input, { egress: true }),
  ),
};

interface Way {
  readonly egress: boolean;
}

function askedRules(world: World, input: Omit<ReturnType<typeof authorize>, 'TagSpecification'>): readonly AskedRule[] {
  const { IpProtocol, FromPort, ToPort, CidrIp, IpPermissions = [] } = input;
  const alone =
    IpProtocol === undefined ? [] : [{ IpProtocol, FromPort, ToPort, IpRanges: CidrIp === undefined ? [] : [{ CidrIp }] }];
  return rulesOf(world, [...IpPermissions, ...alone]);
}

/** All of them or none. */
function addRules(world: World, input: ReturnType<typeof authorize>, { egress }: Way): XmlObject {
  const group = groupById(world, input.GroupId);
  const asked = askedRules(world, input);
  if (asked.length === 0) throw new AwsFailure('MissingParameter', 'The request must contain the parameter ipPermissions');
  const present = [...group.rules.values()].filter((rule) => rule.egress === egress);
  const known = new Set(present.map(keyOf));
  for (const rule of asked) {
    if (known.has(keyOf(rule))) {
      throw new AwsFailure('InvalidPermission.Duplicate', `the specified rule "${inWords(rule)}" already exists`);
    }
    known.add(keyOf(rule));
  }
  const weights = (['ipv4', 'ipv6'] as const).map((family) => weightOf(world, [...present, ...asked], family));
  if (Math.max(...weights) > world.limits.rulesPerSecurityGroup) {
    throw new AwsFailure(
      'RulesPerSecurityGroupLimitExceeded',
      'The maximum number of rules per security group has been reached.',
    );
  }
  const tags = mergeTags(world, undefined, tagsFor(input.TagSpecification, 'security-group-rule'));
  const made = asked.map((rule): Rule => ({ ...rule, id: `sgr-${world.newId(17)}`, egress }));
  for (const rule of made) {
    group.rules.set(rule.id, rule);
    if (tags.size > 0) world.tags.set(rule.id, new Map(tags));
  }
  return {
    return: true,
    securityGroupRuleSet: made.map((rule) => ({ ...ruleXml(world, group, rule), tagSet: tagSet(world, rule.id) })),
  };
}

/** The quota is for IPv4 and for IPv6 each: a group counts as a rule of both, a prefix list for as many of its own as it may have entries.
 *  @see https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
 *  @see https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html */
function weightOf(world: World, rules: readonly AskedRule[], family: 'ipv4' | 'ipv6'): number {
  const weights = rules.map(({ peer }) => {
    if (peer.kind !== 'prefixList') return peer.kind === 'group' || peer.kind === family ? 1 : 0;
    const { family: own = 'IPv4', maxEntries = 1 } = world.prefixLists.get(peer.value) ?? {};
    return own.toLowerCase() === family ? maxEntries : 0;
  });
  return weights.reduce((sum, weight) => sum + weight, 0);
}

function removeRules(world: World, input: ReturnType<typeof revoke>, { egress }: Way): XmlObject {
  const group = groupById(world, input.GroupId);
  const leaving = input.SecurityGroupRuleId?.length
    ? input.SecurityGroupRuleId.map((id) => ruleById(group, id, { egress }))
    : askedRules(world, input).map((asked) => ruleLike(group, asked, { egress }));
  if (leaving.length === 0) throw new AwsFailure('MissingParameter', 'The request must contain the parameter ipPermissions');
  for (const { id } of leaving) {
    group.rules.delete(id);
    world.tags.delete(id);
  }
  return { return: true };
}

function redescribe(world: World, input: ReturnType<typeof describeAgain>, { egress }: Way): XmlObject {
  const group = groupById(world, input.GroupId);
  const byId = (input.SecurityGroupRuleDescription ?? []).map(({ SecurityGroupRuleId, Description }) => ({
    rule: ruleById(group, SecurityGroupRuleId, { egress }),
    description: Description,
  }));
  const byLikeness = rulesOf(world, input.IpPermissions ?? []).map((asked) => ({
    rule: ruleLike(group, asked, { egress }),
    description: asked.description,
  }));
  for (const { rule, description } of [...byId, ...byLikeness]) rule.description = description;
  return { return: true };
}

function ruleById(group: SecurityGroup, id: string, { egress }: Way): Rule {
  const rule = group.rules.get(id);
  if (rule?.egress === egress) return rule;
  throw new AwsFailure('InvalidSecurityGroupRuleId.NotFound', `The security group rule ID '${id}' does not exist`);
}

function ruleLike(group: SecurityGroup, asked: AskedRule, { egress }: Way): Rule {
  for (const rule of group.rules.values()) if (rule.egress === egress && sameRule(rule, asked)) return rule;
  throw new AwsFailure('InvalidPermission.NotFound', 'The specified rule does not exist in this security group.');
}
