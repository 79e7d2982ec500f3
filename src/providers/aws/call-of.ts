import type { Ec2Action, ElbAction } from './actions.ts';
import type { DesiredZone } from './desired.ts';
import { CHANGING, SHARED_GROUP, TAG } from './names.ts';
import type { Tags } from './picture.ts';
import type { Act, ListenerSpec, TargetSpec } from './steps.ts';

type Parameters = readonly (readonly [name: string, value: string | number | readonly string[] | undefined])[];

/** More of a list than this is only counted. */
const NAMED_ITEMS = 3;

/** Pure. The AWS call that an act makes, in one line for people: the action as IAM names it, and its main parameters by resource names. */
export function callOf(act: Act): string {
  const [action, parameters] = describe(act);
  return [action, ...parameters.flatMap(([name, value]) => sayParameter(name, value))].join(' ');
}

function sayParameter(name: string, value: Parameters[number][1]): readonly string[] {
  if (value === undefined || (typeof value === 'object' && value.length === 0)) return [];
  if (typeof value !== 'object') return [`${name}=${value}`];
  const named = value.slice(0, NAMED_ITEMS).join(',');
  return [`${name}=${named}${value.length > NAMED_ITEMS ? `,+${value.length - NAMED_ITEMS}` : ''}`];
}

function describe(act: Act): readonly [action: string, parameters: Parameters] {
  switch (act.kind) {
    case 'create-security-group':
    case 'allow-traffic':
    case 'revoke-traffic':
    case 'delete-security-group':
    case 'release-security-group':
    case 'tag-security-group':
    case 'note-targets':
      return describeEc2(act);
    case 'create-target-group':
    case 'change-health-check':
    case 'set-group-attributes':
    case 'register-targets':
    case 'deregister-targets':
    case 'spare-others':
    case 'delete-target-group':
      return describeGroup(act);
    case 'create-listener':
    case 'change-listener':
    case 'set-listener-attributes':
    case 'add-certificates':
    case 'remove-certificates':
    case 'delete-listener':
      return describeListener(act);
    case 'tag-listeners':
      return elb('AddTags', ['Resources', `listeners of ${act.balancer}`], ['Tags', pairs(act.tags)]);
    case 'add-tags':
      return elb('AddTags', ['Resources', act.resources], ['Tags', pairs(act.tags)]);
    case 'remove-tags':
      return elb('RemoveTags', ['Resources', act.resources], ['TagKeys', act.tags]);
    default:
      return describeBalancer(act);
  }
}

type Kinds<K extends Act['kind']> = Extract<Act, { readonly kind: K }>;

function describeEc2(
  act: Kinds<
    | 'create-security-group'
    | 'allow-traffic'
    | 'revoke-traffic'
    | 'delete-security-group'
    | 'release-security-group'
    | 'tag-security-group'
    | 'note-targets'
  >,
): readonly [string, Parameters] {
  if (act.kind === 'note-targets')
    return ec2('CreateTags', ['Resources', 'the shared group'], ['Tags', pairs({ [TAG.targets]: CHANGING })]);
  const group = act.group === SHARED_GROUP ? 'the shared group' : act.group;
  switch (act.kind) {
    case 'create-security-group':
      return ec2('CreateSecurityGroup', ['GroupName', group], ['VpcId', act.vpcId]);
    case 'allow-traffic':
    case 'revoke-traffic': {
      const action = act.kind === 'allow-traffic' ? 'AuthorizeSecurityGroupIngress' : 'RevokeSecurityGroupIngress';
      const rules = act.rules.map(({ protocol, from, to, source }) => {
        const who = source === SHARED_GROUP ? 'the shared group' : source;
        return `${protocol}:${from === to ? from : `${from}-${to}`}:${who}`;
      });
      return ec2(action, ['Group', group], ['IpPermissions', rules]);
    }
    case 'delete-security-group':
      return ec2('DeleteSecurityGroup', ['Group', group]);
    case 'release-security-group':
      return ec2(act.group === SHARED_GROUP ? 'CreateTags' : 'DeleteTags', ['Resources', [group]]);
    case 'tag-security-group':
      return ec2('CreateTags', ['Resources', [group]], ['Tags', pairs(act.tags)]);
  }
}

function describeGroup(
  act: Kinds<
    | 'create-target-group'
    | 'change-health-check'
    | 'set-group-attributes'
    | 'register-targets'
    | 'deregister-targets'
    | 'spare-others'
    | 'delete-target-group'
  >,
): readonly [string, Parameters] {
  switch (act.kind) {
    case 'create-target-group': {
      const { name, protocol, port, vpcId, check } = act.spec;
      const checked = `${check.protocol}:${check.port}${check.path ?? ''}`;
      return elb(
        'CreateTargetGroup',
        ['Name', name],
        ['Protocol', protocol],
        ['Port', port],
        ['VpcId', vpcId],
        ['HealthCheck', checked],
      );
    }
    case 'change-health-check': {
      const { protocol, port, path = '' } = act.check;
      return elb('ModifyTargetGroup', ['TargetGroup', act.group], ['HealthCheck', `${protocol}:${port}${path}`]);
    }
    case 'set-group-attributes':
      return elb('ModifyTargetGroupAttributes', ['TargetGroup', act.group], ['Attributes', pairs(act.attributes)]);
    case 'register-targets':
      return elb('RegisterTargets', ['TargetGroup', act.group], ['Targets', act.targets.map(sayTarget)]);
    case 'deregister-targets':
      return elb('DeregisterTargets', ['TargetGroup', act.group], ['Targets', act.targets.map(sayTarget)]);
    case 'spare-others':
      return elb('DescribeTargetHealth', ['TargetGroup', act.group]);
    case 'delete-target-group':
      return elb('DeleteTargetGroup', ['TargetGroup', act.group]);
  }
}

function describeBalancer(
  act: Kinds<
    | 'create-balancer'
    | 'set-balancer-attributes'
    | 'set-subnets'
    | 'set-security-groups'
    | 'set-address-type'
    | 'set-capacity'
    | 'delete-balancer'
    | 'adopt-balancer'
    | 'leave-balancer'
  >,
): readonly [string, Parameters] {
  switch (act.kind) {
    case 'create-balancer': {
      const { name, scheme, ipAddressType, zones } = act.spec;
      const asked: Parameters = [
        ['Name', name],
        ['Type', 'network'],
        ['Scheme', scheme],
        ['IpAddressType', ipAddressType],
        ['Subnets', zones.map(sayZone)],
      ];
      return elb('CreateLoadBalancer', ...asked);
    }
    case 'set-balancer-attributes':
      return elb('ModifyLoadBalancerAttributes', ['LoadBalancer', act.balancer], ['Attributes', pairs(act.attributes)]);
    case 'set-subnets':
      return elb('SetSubnets', ['LoadBalancer', act.balancer], ['Subnets', act.zones.map(sayZone)]);
    case 'set-security-groups': {
      const groups = act.groups.map((group) => (group === SHARED_GROUP ? 'the shared group' : group));
      return elb('SetSecurityGroups', ['LoadBalancer', act.balancer], ['SecurityGroups', groups]);
    }
    case 'set-address-type':
      return elb('SetIpAddressType', ['LoadBalancer', act.balancer], ['IpAddressType', act.ipAddressType]);
    case 'set-capacity':
      return elb('ModifyCapacityReservation', ['LoadBalancer', act.balancer], ['CapacityUnits', act.capacityUnits]);
    case 'delete-balancer':
      return elb('DeleteLoadBalancer', ['LoadBalancer', act.balancer]);
    case 'adopt-balancer':
      return elb('AddTags', ['Resources', [act.arn]], ['Tags', pairs(act.tags)]);
    case 'leave-balancer':
      return elb('RemoveTags', ['Resources', [act.balancer]]);
  }
}

function describeListener(
  act: Kinds<
    | 'create-listener'
    | 'change-listener'
    | 'set-listener-attributes'
    | 'add-certificates'
    | 'remove-certificates'
    | 'delete-listener'
  >,
): readonly [string, Parameters] {
  const where = (port: number): Parameters => [
    ['LoadBalancer', act.balancer],
    ['Port', port],
  ];
  switch (act.kind) {
    case 'create-listener':
    case 'change-listener': {
      const { port, protocol, group, spread, certificates, tlsPolicy } = act.spec;
      const sends: Parameters = [
        ['Protocol', protocol],
        ...sayTargetGroups(group, spread),
        ['Certificate', certificates[0]],
        ['SslPolicy', tlsPolicy],
      ];
      return elb(act.kind === 'create-listener' ? 'CreateListener' : 'ModifyListener', ...where(port), ...sends);
    }
    case 'set-listener-attributes':
      return elb('ModifyListenerAttributes', ...where(act.port), ['Attributes', pairs(act.attributes)]);
    case 'add-certificates':
      return elb('AddListenerCertificates', ...where(act.port), ['Certificates', act.certificates]);
    case 'remove-certificates':
      return elb('RemoveListenerCertificates', ...where(act.port), ['Certificates', act.certificates]);
    case 'delete-listener':
      return elb('DeleteListener', ...where(act.port));
  }
}

function sayTargetGroups(group: string, spread: ListenerSpec['spread']): Parameters {
  if (!spread) return [['TargetGroup', group]];
  const others = spread.others.map((one) => `${one.group ?? one.arn}:${one.weight}`);
  const sticky: Parameters = spread.sticky ? [['Stickiness', 'true']] : [];
  return [['TargetGroups', `${[`${group}:${spread.weight}`, ...others].join(',')}`], ...sticky];
}

function elb(action: ElbAction, ...parameters: Parameters): readonly [string, Parameters] {
  return [`elasticloadbalancing:${action}`, parameters];
}

function ec2(action: Ec2Action, ...parameters: Parameters): readonly [string, Parameters] {
  return [`ec2:${action}`, parameters];
}

function pairs(tags: Tags): readonly string[] {
  return Object.entries(tags).map(([name, value]) => `${name}=${value}`);
}

function sayTarget({ id, port }: TargetSpec): string {
  return `${id}:${port}`;
}

function sayZone({ subnetId, allocationId, privateIpv4 }: DesiredZone): string {
  const fixed = allocationId ?? privateIpv4;
  return fixed === undefined ? subnetId : `${subnetId}:${fixed}`;
}
