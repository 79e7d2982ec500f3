import { AwsFailure } from '../failure.ts';
import type { Listener, LoadBalancer, NlbProtocol, TargetGroup, World } from '../world.ts';
import { targetGroup } from './found.ts';
import { checkTargetCounts } from './target-counts.ts';
import { isNlbProtocol } from './target-groups.ts';

export interface AskedListener {
  readonly port: number | undefined;
  readonly protocol: string | undefined;
  readonly sslPolicy: string | undefined;
  readonly certificates: readonly string[] | undefined;
  readonly alpn: readonly string[] | undefined;
  readonly action:
    | {
        readonly Type: string;
        readonly TargetGroupArn?: string | undefined;
        readonly ForwardConfig?:
          | {
              readonly TargetGroups?:
                | readonly { readonly TargetGroupArn: string; readonly Weight?: number | undefined }[]
                | undefined;
              readonly TargetGroupStickinessConfig?: { readonly Enabled?: boolean | undefined } | undefined;
            }
          | undefined;
      }
    | undefined;
}

export type ListenerSettings = Pick<
  Listener,
  'port' | 'protocol' | 'forward' | 'sticky' | 'forwardForm' | 'sslPolicy' | 'certificates' | 'alpn'
>;

/** What a listener of the protocol may send to. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html */
const compatible: Readonly<Record<NlbProtocol, readonly NlbProtocol[]>> = {
  TCP: ['TCP', 'TCP_UDP'],
  TLS: ['TLS', 'TCP'],
  UDP: ['UDP', 'TCP_UDP'],
  TCP_UDP: ['TCP_UDP'],
};

const alpnPolicies = ['HTTP1Only', 'HTTP2Only', 'HTTP2Optional', 'HTTP2Preferred', 'None'];
const USUAL_POLICY = 'ELBSecurityPolicy-2016-08';

/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html */
export const sslPolicies: readonly string[] = [
  USUAL_POLICY,
  'ELBSecurityPolicy-TLS-1-0-2015-04',
  'ELBSecurityPolicy-TLS-1-1-2017-01',
  'ELBSecurityPolicy-TLS-1-2-2017-01',
  'ELBSecurityPolicy-TLS-1-2-Ext-2018-06',
  'ELBSecurityPolicy-FS-2018-06',
  'ELBSecurityPolicy-FS-1-1-2019-08',
  'ELBSecurityPolicy-FS-1-2-2019-08',
  'ELBSecurityPolicy-FS-1-2-Res-2019-08',
  'ELBSecurityPolicy-FS-1-2-Res-2020-10',
  'ELBSecurityPolicy-TLS13-1-0-2021-06',
  'ELBSecurityPolicy-TLS13-1-1-2021-06',
  'ELBSecurityPolicy-TLS13-1-2-2021-06',
  'ELBSecurityPolicy-TLS13-1-2-Res-2021-06',
  'ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06',
  'ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06',
  'ELBSecurityPolicy-TLS13-1-3-2021-06',
];

/** The settings that a listener will have. Everything is checked, and nothing is changed.
 *  @param present undefined for a new one
 *  @throws {AwsFailure} */
export function checkListener(
  world: World,
  balancer: LoadBalancer,
  present: Listener | undefined,
  asked: AskedListener,
): ListenerSettings {
  const port = asked.port ?? present?.port;
  const protocol = checkProtocol(asked.protocol ?? present?.protocol);
  if (port === undefined) throw new AwsFailure('ValidationError', 'A listener port must be specified');
  const datagrams = protocol === 'UDP' || protocol === 'TCP_UDP';
  if (datagrams && balancer.addressType === 'dualstack' && balancer.prefixNat === 'off') {
    const message = `${protocol} listeners on dualstack load balancers need EnablePrefixForIpv6SourceNat to be on`;
    throw new AwsFailure('InvalidConfigurationRequest', message);
  }
  const forward = asked.action ? readForward(asked.action) : present?.forward;
  if (!forward) throw new AwsFailure('ValidationError', 'A default action must be specified');
  for (const { arn } of forward) checkGroup(world, balancer, protocol, targetGroup(world, arn));
  const sticky = asked.action ? asksSticky(asked.action) : present!.sticky;
  checkTogether(
    protocol,
    sticky,
    forward.map(({ arn }) => targetGroup(world, arn)),
  );
  const forwardForm = asked.action ? (asked.action.TargetGroupArn === undefined ? 'config' : 'arn') : present!.forwardForm;
  return { port, protocol, forward, sticky, forwardForm, ...checkTls(world, protocol, present, asked) };
}

function checkProtocol(protocol: string | undefined): NlbProtocol {
  if (protocol === undefined) throw new AwsFailure('ValidationError', 'A listener protocol must be specified');
  if (isNlbProtocol(protocol)) return protocol;
  const message = `Listener protocol '${protocol}' must be one of 'TCP, TLS, UDP, TCP_UDP'`;
  throw new AwsFailure(protocol === 'HTTP' || protocol === 'HTTPS' ? 'ValidationError' : 'UnsupportedProtocol', message);
}

function readForward(action: NonNullable<AskedListener['action']>): Listener['forward'] {
  if (action.Type !== 'forward') {
    throw new AwsFailure('InvalidLoadBalancerAction', `Action type '${action.Type}' is not valid with network load balancers`);
  }
  const listed = action.ForwardConfig?.TargetGroups;
  if (!listed?.length) {
    if (action.TargetGroupArn !== undefined) return [{ arn: action.TargetGroupArn, weight: undefined }];
    throw new AwsFailure('ValidationError', "A target group ARN must be specified for action type 'forward'");
  }
  if (action.TargetGroupArn !== undefined && (listed.length > 1 || listed[0]?.TargetGroupArn !== action.TargetGroupArn)) {
    const message = 'TargetGroupArn and the target groups of ForwardConfig must be the same';
    throw new AwsFailure('ValidationError', message);
  }
  if (listed.length > 5) throw new AwsFailure('TooManyUniqueTargetGroupsPerLoadBalancer', 'At most 5 target groups an action');
  if (new Set(listed.map(({ TargetGroupArn }) => TargetGroupArn)).size < listed.length) {
    throw new AwsFailure('ValidationError', 'A target group may be named once in an action');
  }
  if (listed.length > 1 && listed.some(({ Weight }) => Weight === undefined)) {
    throw new AwsFailure('ValidationError', 'A weight must be specified for each target group');
  }
  return listed.map(({ TargetGroupArn, Weight }) => ({ arn: TargetGroupArn, weight: Weight }));
}

function asksSticky({ ForwardConfig }: NonNullable<AskedListener['action']>): boolean {
  return ForwardConfig?.TargetGroupStickinessConfig?.Enabled ?? false;
}

/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html#default-actions */
function checkTogether(protocol: NlbProtocol, sticky: boolean, groups: readonly TargetGroup[]): void {
  const refuse = (message: string) => new AwsFailure('InvalidConfigurationRequest', message);
  if (sticky && protocol === 'TLS') throw refuse('Target group stickiness is not supported for TLS listeners');
  if (new Set(groups.map((group) => group.protocol)).size > 1) {
    throw refuse('All target groups of a forward action must use the same protocol');
  }
  if (new Set(groups.map((group) => group.addressType)).size > 1) {
    throw refuse('All target groups of a forward action must use the same IP address type');
  }
  const keeping = groups.find(({ attributes }) => attributes.get('stickiness.enabled') === 'true');
  if (keeping && !sticky && groups.length > 1) throw refuse(sayUnsticky(keeping.arn));
}

export function sayUnsticky(arn: string): string {
  return `Target group '${arn}' has stickiness enabled, so a forward action to several target groups must have target group stickiness enabled`;
}

function checkGroup(world: World, balancer: LoadBalancer, protocol: NlbProtocol, group: TargetGroup): void {
  if (!compatible[protocol].includes(group.protocol)) {
    const message = `The ${protocol} listener cannot use target group '${group.arn}' with the protocol ${group.protocol}`;
    throw new AwsFailure('IncompatibleProtocols', message);
  }
  if (group.vpcId !== balancer.vpcId) {
    const message = `Target group '${group.arn}' is in ${group.vpcId}, and the load balancer is in ${balancer.vpcId}`;
    throw new AwsFailure('InvalidConfigurationRequest', message);
  }
  if ([...group.users.values()].some(({ loadBalancerArn }) => loadBalancerArn !== balancer.arn)) {
    const message = `The following target groups cannot be associated with more than one load balancer: ${group.arn}`;
    throw new AwsFailure('TargetGroupAssociationLimit', message);
  }
  checkTargetCounts(world, balancer, { group });
}

type Tls = Pick<ListenerSettings, 'sslPolicy' | 'certificates' | 'alpn'>;

function checkTls(world: World, protocol: NlbProtocol, present: Listener | undefined, asked: AskedListener): Tls {
  if (protocol !== 'TLS') {
    const given = [
      asked.certificates?.length && 'Certificates',
      asked.sslPolicy && 'An SSL policy',
      asked.alpn?.length && 'An ALPN policy',
    ];
    const wrong = given.find((one) => one);
    if (wrong) throw new AwsFailure('InvalidConfigurationRequest', `${wrong} cannot be specified for ${protocol} listeners`);
    return { sslPolicy: undefined, certificates: [], alpn: undefined };
  }
  const before = present?.protocol === 'TLS' ? present : undefined;
  const sslPolicy = asked.sslPolicy ?? before?.sslPolicy ?? USUAL_POLICY;
  if (!sslPolicies.includes(sslPolicy)) throw new AwsFailure('SSLPolicyNotFound', `SSL policy '${sslPolicy}' not found`);
  if (asked.certificates && asked.certificates.length > 1) {
    throw new AwsFailure('TooManyCertificates', 'Up to one certificate can be specified: the others are added to the listener');
  }
  const [asDefault] = asked.certificates ?? before?.certificates ?? [];
  if (asDefault === undefined) throw new AwsFailure('ValidationError', 'A certificate must be specified for TLS listeners');
  if (!world.certificates.has(asDefault)) {
    throw new AwsFailure('CertificateNotFound', `Certificate '${asDefault}' not found`);
  }
  const others = (before?.certificates ?? []).slice(1);
  return { sslPolicy, certificates: [asDefault, ...others], alpn: checkAlpn(asked.alpn, before?.alpn) };
}

function checkAlpn(asked: readonly string[] | undefined, present: string | undefined): string | undefined {
  if (!asked) return present;
  const [policy, ...others] = asked;
  if (others.length > 0) throw new AwsFailure('ValidationError', 'You can specify one ALPN policy');
  if (policy !== undefined && !alpnPolicies.includes(policy)) {
    throw new AwsFailure('ALPNPolicyNotFound', `ALPN policy '${policy}' is not supported`);
  }
  return policy;
}
