import type { Tags } from './picture.ts';

/**
 * What AWS sets by itself, so that nobody needs to read it after a create, and a wish for the same makes no call.
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
 */
export const DEFAULTS: Tags = {
  'deregistration_delay.timeout_seconds': '300',
  'deregistration_delay.connection_termination.enabled': 'false',
  'stickiness.enabled': 'false',
  'stickiness.type': 'source_ip',
  'proxy_protocol_v2.enabled': 'false',
  'preserve_client_ip.enabled': 'true',
  'load_balancing.cross_zone.enabled': 'false',
  'deletion_protection.enabled': 'false',
  'access_logs.s3.enabled': 'false',
  'access_logs.s3.bucket': '',
  'access_logs.s3.prefix': '',
  'dns_record.client_routing_policy': 'any_availability_zone',
  'zonal_shift.config.enabled': 'false',
  'tcp.idle_timeout.seconds': '350',
};

/** On target groups cross-zone follows the NLB unless it is told otherwise. */
const INHERITED = 'use_load_balancer_configuration';

/** The attributes that differ; what nobody asks for is left as it is. */
export function differing(wanted: Tags, seen: Tags, of: 'balancer' | 'group' | 'listener'): Tags {
  const had = (name: string): string | undefined =>
    seen[name] ?? (of === 'group' && name === 'load_balancing.cross_zone.enabled' ? INHERITED : DEFAULTS[name]);
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => had(name) !== value));
}

export function sayAttributes(attributes: Tags): string {
  return Object.entries(attributes)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}
