import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { record, text } from '../shapes.ts';
import type { NlbProtocol } from '../world.ts';
import {
  type AttributeRules,
  attributesShape,
  attributesXml,
  checkAttributes,
  initialValues,
  numberBetween,
} from './attributes.ts';
import { listener } from './found.ts';

/** Of a TCP listener; those of the other protocols have none. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ListenerAttribute.html */
const rules: AttributeRules = { 'tcp.idle_timeout.seconds': { initial: '350', allowed: numberBetween(60, 6000) } };

export function newListenerAttributes(protocol: NlbProtocol): Map<string, string> {
  return protocol === 'TCP' || protocol === 'TCP_UDP' ? initialValues(rules) : new Map();
}

const describe = record({ ListenerArn: text }, ['ListenerArn']);
const modify = record({ ListenerArn: text, Attributes: attributesShape }, ['ListenerArn', 'Attributes']);

export const listenerAttributeActions: Actions = {
  DescribeListenerAttributes: action(describe, (world, { ListenerArn }) =>
    attributesXml(listener(world, ListenerArn).attributes),
  ),
  ModifyListenerAttributes: action(modify, (world, { ListenerArn, Attributes }) => {
    const one = listener(world, ListenerArn);
    if (one.attributes.size === 0) {
      const message = `Listener attributes are not supported for ${one.protocol} listeners`;
      throw new AwsFailure('InvalidConfigurationRequest', message);
    }
    checkAttributes(rules, Attributes, { called: 'Listener', where: 'on TCP listeners', foreign: /^routing\.http\./ });
    for (const { Key, Value = '' } of Attributes) one.attributes.set(Key, Value);
    return attributesXml(one.attributes);
  }),
};
