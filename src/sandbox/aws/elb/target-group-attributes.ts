import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { record, text } from '../shapes.ts';
import type { TargetGroup, World } from '../world.ts';
import {
  type AttributeRules,
  attributesShape,
  attributesXml,
  checkAttributes,
  initialValues,
  numberBetween,
  offOr,
  trueOrFalse,
} from './attributes.ts';
import { targetGroup } from './found.ts';
import { sayUnsticky } from './listener-rules.ts';

const COUNT = 1000;

/** Of a group of a Network Load Balancer. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html */
const rules: AttributeRules = {
  'deregistration_delay.timeout_seconds': { initial: '300', allowed: numberBetween(0, 3600) },
  'deregistration_delay.connection_termination.enabled': { initial: 'false', allowed: trueOrFalse },
  'stickiness.enabled': { initial: 'false', allowed: trueOrFalse },
  'stickiness.type': { initial: 'source_ip', allowed: /^source_ip$/ },
  'preserve_client_ip.enabled': { initial: 'true', allowed: trueOrFalse },
  'proxy_protocol_v2.enabled': { initial: 'false', allowed: trueOrFalse },
  'load_balancing.cross_zone.enabled': {
    initial: 'use_load_balancer_configuration',
    allowed: /^(true|false|use_load_balancer_configuration)$/,
  },
  'target_health_state.unhealthy.connection_termination.enabled': { initial: 'true', allowed: trueOrFalse },
  'target_health_state.unhealthy.draining_interval_seconds': { initial: '0', allowed: numberBetween(0, 360_000) },
  'target_group_health.dns_failover.minimum_healthy_targets.count': { initial: '1', allowed: offOr(1, COUNT) },
  'target_group_health.dns_failover.minimum_healthy_targets.percentage': { initial: 'off', allowed: offOr(1, 100) },
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.count': {
    initial: '1',
    allowed: numberBetween(1, COUNT),
  },
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage': { initial: 'off', allowed: offOr(1, 100) },
};

const foreign = /^(slow_start|lambda|target_failover|send_tcp_reset|load_balancing\.algorithm|stickiness\.(lb|app)_cookie)\./;

export function newGroupAttributes({ protocol, targetType }: Pick<TargetGroup, 'protocol' | 'targetType'>): Map<string, string> {
  const values = initialValues(rules);
  const datagrams = protocol === 'UDP' || protocol === 'TCP_UDP';
  values.set('deregistration_delay.connection_termination.enabled', String(datagrams));
  values.set('preserve_client_ip.enabled', String(datagrams || targetType === 'instance'));
  if (datagrams) values.set('target_health_state.unhealthy.connection_termination.enabled', 'false');
  return values;
}

const describe = record({ TargetGroupArn: text }, ['TargetGroupArn']);
const modify = record({ TargetGroupArn: text, Attributes: attributesShape }, ['TargetGroupArn', 'Attributes']);

export const targetGroupAttributeActions: Actions = {
  DescribeTargetGroupAttributes: action(describe, (world, { TargetGroupArn }) =>
    attributesXml(targetGroup(world, TargetGroupArn).attributes),
  ),
  ModifyTargetGroupAttributes: action(modify, (world, { TargetGroupArn, Attributes }) => {
    const group = targetGroup(world, TargetGroupArn);
    checkAttributes(rules, Attributes, {
      called: 'Target group',
      where: `on target groups with protocol '${group.protocol}'`,
      foreign,
    });
    const after = new Map(group.attributes);
    for (const { Key, Value = '' } of Attributes) after.set(Key, Value);
    checkTogether(group, after);
    checkListeners(world, group, after);
    for (const [key, value] of after) group.attributes.set(key, value);
    return attributesXml(group.attributes);
  }),
};

function checkListeners(world: World, { arn, users }: TargetGroup, after: ReadonlyMap<string, string>): void {
  if (after.get('stickiness.enabled') !== 'true') return;
  const listeners = [...users.keys()].flatMap((user) => world.listeners.get(user) ?? []);
  if (listeners.some(({ forward, sticky }) => forward.length > 1 && !sticky)) {
    throw new AwsFailure('InvalidConfigurationRequest', sayUnsticky(arn));
  }
}

function checkTogether(group: TargetGroup, after: ReadonlyMap<string, string>): void {
  const refuse = (message: string) => new AwsFailure('InvalidConfigurationRequest', message);
  const datagrams = group.protocol === 'UDP' || group.protocol === 'TCP_UDP';
  if (datagrams && after.get('preserve_client_ip.enabled') === 'false') {
    throw refuse(`Client IP preservation cannot be disabled for target groups with the ${group.protocol} protocol`);
  }
  if (datagrams && after.get('target_health_state.unhealthy.connection_termination.enabled') === 'true') {
    throw refuse(`Unhealthy connection termination cannot be enabled for target groups with the ${group.protocol} protocol`);
  }
  if (group.protocol === 'TLS' && after.get('stickiness.enabled') === 'true') {
    throw refuse('Stickiness is not supported for target groups with the TLS protocol');
  }
  const draining = after.get('target_health_state.unhealthy.draining_interval_seconds') ?? '0';
  if (draining !== '0' && after.get('target_health_state.unhealthy.connection_termination.enabled') === 'true') {
    throw refuse('An unhealthy draining interval needs unhealthy connection termination to be disabled');
  }
}
