import type { Peer, Rule, SecurityGroup, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { tagSet } from './resources.ts';

/** Rules as permissions: those with the same protocol and ports are one permission with several peers. */
export function permissionsXml(world: World, rules: readonly Rule[]): readonly XmlObject[] {
  const byTraffic = Map.groupBy(rules, ({ protocol, fromPort, toPort }) => `${protocol} ${fromPort} ${toPort}`);
  return [...byTraffic.values()].map((same) => {
    const of = (kind: Peer['kind']) => same.filter(({ peer }) => peer.kind === kind);
    const [{ protocol, fromPort, toPort }] = same as [Rule, ...Rule[]];
    return {
      ipProtocol: protocol,
      fromPort,
      toPort,
      groups: of('group').map(({ peer, description }) => ({ userId: world.accountId, groupId: peer.value, description })),
      ipRanges: of('ipv4').map(({ peer, description }) => ({ cidrIp: peer.value, description })),
      ipv6Ranges: of('ipv6').map(({ peer, description }) => ({ cidrIpv6: peer.value, description })),
      prefixListIds: of('prefixList').map(({ peer, description }) => ({ prefixListId: peer.value, description })),
    };
  });
}

export function ruleXml(world: World, group: SecurityGroup, rule: Rule): XmlObject {
  const { kind, value } = rule.peer;
  return {
    securityGroupRuleId: rule.id,
    securityGroupRuleArn: `arn:aws:ec2:${world.region}:${world.accountId}:security-group-rule/${rule.id}`,
    groupId: group.id,
    groupOwnerId: world.accountId,
    isEgress: rule.egress,
    ipProtocol: rule.protocol,
    fromPort: rule.fromPort ?? -1,
    toPort: rule.toPort ?? -1,
    cidrIpv4: kind === 'ipv4' ? value : undefined,
    cidrIpv6: kind === 'ipv6' ? value : undefined,
    prefixListId: kind === 'prefixList' ? value : undefined,
    referencedGroupInfo: kind === 'group' ? { groupId: value, userId: world.accountId } : undefined,
    description: rule.description,
    tagSet: tagSet(world, rule.id),
  };
}
