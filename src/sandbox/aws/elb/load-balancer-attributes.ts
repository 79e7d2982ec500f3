import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { record, text } from '../shapes.ts';
import type { LoadBalancer, World } from '../world.ts';
import {
  type AskedAttributes,
  type AttributeRules,
  attributesShape,
  attributesXml,
  checkAttributes,
  initialValues,
  numberBetween,
  trueOrFalse,
} from './attributes.ts';
import { loadBalancer } from './found.ts';
import { checkTargetCounts } from './target-counts.ts';

/** Of a Network Load Balancer. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html */
const rules: AttributeRules = {
  'deletion_protection.enabled': { initial: 'false', allowed: trueOrFalse },
  'load_balancing.cross_zone.enabled': { initial: 'false', allowed: trueOrFalse },
  'access_logs.s3.enabled': { initial: 'false', allowed: trueOrFalse },
  'access_logs.s3.bucket': { initial: '', allowed: /^[a-z0-9.-]{0,63}$/ },
  'access_logs.s3.prefix': { initial: '', allowed: /^(?!.*AWSLogs).{0,512}$/ },
  'ipv6.deny_all_igw_traffic': { initial: 'false', allowed: trueOrFalse },
  'zonal_shift.config.enabled': { initial: 'false', allowed: trueOrFalse },
  'dns_record.client_routing_policy': {
    initial: 'any_availability_zone',
    allowed: /^(any_availability_zone|availability_zone_affinity|partial_availability_zone_affinity)$/,
  },
  'secondary_ips.auto_assigned.per_subnet': { initial: '0', allowed: numberBetween(0, 7) },
};

const kind = {
  called: 'Load balancer',
  where: "on load balancers with type 'network'",
  foreign: /^(idle_timeout|client_keep_alive|connection_logs|health_check_logs|routing\.http2?|waf)\./,
};

export function newLoadBalancerAttributes(scheme: LoadBalancer['scheme']): Map<string, string> {
  return initialValues(rules).set('ipv6.deny_all_igw_traffic', String(scheme === 'internal'));
}

const describe = record({ LoadBalancerArn: text }, ['LoadBalancerArn']);
const modify = record({ LoadBalancerArn: text, Attributes: attributesShape }, ['LoadBalancerArn', 'Attributes']);

export const loadBalancerAttributeActions: Actions = {
  DescribeLoadBalancerAttributes: action(describe, (world, { LoadBalancerArn }) =>
    attributesXml(loadBalancer(world, LoadBalancerArn).attributes),
  ),
  ModifyLoadBalancerAttributes: action(modify, (world, { LoadBalancerArn, Attributes }) => {
    const balancer = loadBalancer(world, LoadBalancerArn);
    checkAttributes(rules, Attributes, kind);
    checkFamily(balancer, Attributes);
    const after = new Map(balancer.attributes);
    for (const { Key, Value = '' } of Attributes) after.set(Key, Value);
    checkSecondary(balancer, after);
    checkLogs(world, after);
    checkTargetCounts(world, balancer, { crossZone: after.get('load_balancing.cross_zone.enabled') === 'true' });
    for (const [key, value] of after) balancer.attributes.set(key, value);
    return attributesXml(balancer.attributes);
  }),
};

function checkFamily({ addressType }: LoadBalancer, asked: AskedAttributes): void {
  if (addressType === 'dualstack' || !asked.some(({ Key }) => Key === 'ipv6.deny_all_igw_traffic')) return;
  const message = `Load balancer attribute key 'ipv6.deny_all_igw_traffic' is not supported on load balancers with IP address type 'ipv4'`;
  throw new AwsFailure('InvalidConfigurationRequest', message);
}

const SECONDARY = 'secondary_ips.auto_assigned.per_subnet';

function checkSecondary({ attributes }: LoadBalancer, after: ReadonlyMap<string, string>): void {
  if (Number(after.get(SECONDARY)) >= Number(attributes.get(SECONDARY))) return;
  throw new AwsFailure('InvalidConfigurationRequest', `Load balancer attribute '${SECONDARY}' cannot be decreased`);
}

function checkLogs(world: World, after: ReadonlyMap<string, string>): void {
  if (after.get('access_logs.s3.enabled') !== 'true') return;
  const bucket = after.get('access_logs.s3.bucket') ?? '';
  if (bucket === '') {
    throw new AwsFailure('InvalidConfigurationRequest', 'Access logs cannot be enabled without a bucket');
  }
  if (!world.logBuckets.has(bucket)) {
    throw new AwsFailure('InvalidConfigurationRequest', `Access Denied for bucket: ${bucket}. Please check S3bucket permission`);
  }
}
