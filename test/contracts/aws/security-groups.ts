import { expect } from '@jest/globals';
import { only, type Promises, refused, type Stage } from './stage.ts';

const web = { IpProtocol: 'tcp', FromPort: 80, ToPort: 80 };
const everyone = { ...web, IpRanges: [{ CidrIp: '0.0.0.0/0', Description: 'everyone' }] };

async function ingress(stage: Stage, GroupId: string) {
  const { SecurityGroups } = await stage.ec2.describeSecurityGroups({ GroupIds: [GroupId] });
  return only(SecurityGroups).IpPermissions ?? [];
}

export const securityGroupPromises: Promises = {
  'a group is made with tags, lets everything out and nothing in': async (stage) => {
    const GroupName = stage.name();
    const Tags = [{ Key: 'cluster', Value: 'test' }];
    const { GroupId } = await stage.ec2.createSecurityGroup({
      GroupName,
      Description: 'of a test',
      VpcId: stage.ground.vpcId,
      TagSpecifications: [{ ResourceType: 'security-group', Tags }],
    });
    const { SecurityGroups } = await stage.ec2.describeSecurityGroups({
      Filters: [
        { Name: 'tag:cluster', Values: ['test'] },
        { Name: 'group-name', Values: [GroupName] },
      ],
    });
    const found = only(SecurityGroups);
    expect(found).toMatchObject({ GroupId, GroupName, Description: 'of a test', Tags, IpPermissions: [] });
    expect(only(found.IpPermissionsEgress).IpRanges).toEqual([{ CidrIp: '0.0.0.0/0' }]);
  },
  'the same group name again is refused': async (stage) => {
    const input = { GroupName: stage.name(), Description: 'x', VpcId: stage.ground.vpcId };
    await stage.ec2.createSecurityGroup(input);
    await refused(stage.ec2.createSecurityGroup(input), 'InvalidGroup.Duplicate');
  },
  'a group name that begins with sg- is refused': (stage) => {
    const input = { GroupName: 'sg-mine', Description: 'x', VpcId: stage.ground.vpcId };
    return refused(stage.ec2.createSecurityGroup(input), 'InvalidParameterValue');
  },
  'rules are told one by one when they are made': async (stage) => {
    const GroupId = await stage.securityGroup();
    const { SecurityGroupRules } = await stage.ec2.authorizeSecurityGroupIngress({
      GroupId,
      IpPermissions: [
        { ...web, IpRanges: [{ CidrIp: '10.0.0.0/8' }, { CidrIp: '192.0.2.0/24' }] },
        { IpProtocol: 'udp', FromPort: 53, ToPort: 53, Ipv6Ranges: [{ CidrIpv6: '::/0' }] },
      ],
    });
    expect(SecurityGroupRules).toHaveLength(3);
    for (const rule of SecurityGroupRules ?? []) expect(rule).toMatchObject({ GroupId, IsEgress: false });
  },
  'rules are read as permissions, with descriptions': async (stage) => {
    const GroupId = await stage.securityGroup();
    await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    expect(only(await ingress(stage, GroupId))).toMatchObject(everyone);
  },
  'rules are read one by one': async (stage) => {
    const GroupId = await stage.securityGroup();
    await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    const { SecurityGroupRules } = await stage.ec2.describeSecurityGroupRules({
      Filters: [{ Name: 'group-id', Values: [GroupId] }],
    });
    const inward = SecurityGroupRules?.filter(({ IsEgress }) => !IsEgress);
    expect(only(inward)).toMatchObject({ CidrIpv4: '0.0.0.0/0', FromPort: 80, ToPort: 80, Description: 'everyone' });
  },
  'the same rule again is refused, whatever its description': async (stage) => {
    const GroupId = await stage.securityGroup();
    await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    const again = { GroupId, IpPermissions: [{ ...web, IpRanges: [{ CidrIp: '0.0.0.0/0' }] }] };
    await refused(stage.ec2.authorizeSecurityGroupIngress(again), 'InvalidPermission.Duplicate');
  },
  'a rule is taken back, and not a second time': async (stage) => {
    const GroupId = await stage.securityGroup();
    await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    await stage.ec2.revokeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    expect(await ingress(stage, GroupId)).toEqual([]);
    const again = stage.ec2.revokeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    await refused(again, 'InvalidPermission.NotFound');
  },
  'a rule is taken back by its id': async (stage) => {
    const GroupId = await stage.securityGroup();
    const made = await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    const SecurityGroupRuleIds = [only(made.SecurityGroupRules).SecurityGroupRuleId!];
    await stage.ec2.revokeSecurityGroupIngress({ GroupId, SecurityGroupRuleIds });
    expect(await ingress(stage, GroupId)).toEqual([]);
  },
  'a rule for another group and a rule for a prefix list': async (stage) => {
    const [GroupId, other] = [await stage.securityGroup(), await stage.securityGroup()];
    const PrefixListIds = [{ PrefixListId: stage.ground.prefixList }];
    const UserIdGroupPairs = [{ GroupId: other, Description: 'balancers' }];
    await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [{ ...web, UserIdGroupPairs, PrefixListIds }] });
    const told = await ingress(stage, GroupId);
    expect(told.flatMap((one) => one.UserIdGroupPairs ?? [])).toEqual([expect.objectContaining(UserIdGroupPairs[0]!)]);
    expect(told.flatMap((one) => one.PrefixListIds ?? [])).toEqual(PrefixListIds);
  },
  'a range with host bits is kept without them, and is the same rule': async (stage) => {
    const GroupId = await stage.securityGroup();
    const open = (CidrIp: string) =>
      stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [{ ...web, IpRanges: [{ CidrIp }] }] });
    await open('10.1.2.3/8');
    expect(only(await ingress(stage, GroupId)).IpRanges).toEqual([{ CidrIp: '10.0.0.0/8' }]);
    await refused(open('10.0.0.0/8'), 'InvalidPermission.Duplicate');
  },
  'a range that is none is refused': async (stage) => {
    const GroupId = await stage.securityGroup();
    const IpPermissions = [{ ...web, IpRanges: [{ CidrIp: '10.0.0.0/33' }] }];
    await refused(stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions }), 'InvalidParameterValue');
  },
  'sixty rules fit and the next does not': async (stage) => {
    const GroupId = await stage.securityGroup();
    const IpRanges = Array.from({ length: 60 }, (_, index) => ({ CidrIp: `192.0.2.${index}/32` }));
    await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [{ ...web, IpRanges }] });
    const more = { GroupId, IpPermissions: [everyone] };
    await refused(stage.ec2.authorizeSecurityGroupIngress(more), 'RulesPerSecurityGroupLimitExceeded');
  },
  'a group that a load balancer has is not deleted': async (stage) => {
    const GroupId = await stage.securityGroup();
    const { LoadBalancerArn } = await stage.balancer({ SecurityGroups: [GroupId] });
    await refused(stage.ec2.deleteSecurityGroup({ GroupId }), 'DependencyViolation');
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn });
    await stage.ec2.deleteSecurityGroup({ GroupId });
    await refused(stage.ec2.deleteSecurityGroup({ GroupId }), 'InvalidGroup.NotFound');
  },
  'a group that an instance has is not deleted': (stage) =>
    refused(stage.ec2.deleteSecurityGroup({ GroupId: stage.ground.nodeGroup }), 'DependencyViolation'),
  'a group that a rule of another one names is not deleted': async (stage) => {
    const [GroupId, other] = [await stage.securityGroup(), await stage.securityGroup()];
    const IpPermissions = [{ ...web, UserIdGroupPairs: [{ GroupId: other }] }];
    await stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions });
    await refused(stage.ec2.deleteSecurityGroup({ GroupId: other }), 'DependencyViolation');
  },
  'a group that is not there is not found': async (stage) => {
    const GroupId = 'sg-0123456789abcdef0';
    await refused(stage.ec2.describeSecurityGroups({ GroupIds: [GroupId] }), 'InvalidGroup.NotFound');
    const authorize = stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [everyone] });
    await refused(authorize, 'InvalidGroup.NotFound');
  },
  'a dry run of a rule writes none': async (stage) => {
    const GroupId = await stage.securityGroup();
    const dry = stage.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions: [everyone], DryRun: true });
    await refused(dry, 'DryRunOperation');
    expect(await ingress(stage, GroupId)).toEqual([]);
  },
};
