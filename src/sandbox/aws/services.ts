import type { Action, Actions } from './action.ts';
import { addressActions } from './ec2/addresses.ts';
import { instanceActions } from './ec2/instances.ts';
import { networkActions } from './ec2/network.ts';
import { routeActions } from './ec2/routes.ts';
import { securityGroupRuleActions } from './ec2/security-group-rules.ts';
import { securityGroupActions } from './ec2/security-groups.ts';
import { ec2TagActions } from './ec2/tags.ts';
import { accountActions } from './elb/account.ts';
import { certificateActions } from './elb/certificates.ts';
import { listenerAttributeActions } from './elb/listener-attributes.ts';
import { listenerActions } from './elb/listeners.ts';
import { loadBalancerAttributeActions } from './elb/load-balancer-attributes.ts';
import { loadBalancerSettingActions } from './elb/load-balancer-settings.ts';
import { loadBalancerActions } from './elb/load-balancers.ts';
import { tagActions } from './elb/tags.ts';
import { targetGroupAttributeActions } from './elb/target-group-attributes.ts';
import { targetGroupActions } from './elb/target-groups.ts';
import { targetActions } from './elb/targets.ts';
import { type AwsFailure, type BadParameter, ec2ParameterError, validationError } from './failure.ts';
import { stsActions } from './sts.ts';
import { writeInside, type XmlObject } from './xml.ts';

/** One API: what it can do, and how it speaks. */
export interface Service {
  readonly name: 'elbv2' | 'ec2' | 'sts';
  /** What credentials are scoped to. */
  readonly scope: string;
  readonly actions: Readonly<Record<string, Action>>;
  readonly answer: (action: string, result: XmlObject, requestId: string) => string;
  readonly refuse: (failure: AwsFailure, requestId: string) => string;
  readonly inOwnWords: (bad: BadParameter) => AwsFailure;
}

const elbActions: Actions = {
  ...loadBalancerActions,
  ...loadBalancerSettingActions,
  ...loadBalancerAttributeActions,
  ...targetGroupActions,
  ...targetGroupAttributeActions,
  ...targetActions,
  ...listenerActions,
  ...listenerAttributeActions,
  ...certificateActions,
  ...tagActions,
  ...accountActions,
};

const ec2Actions: Actions = {
  ...instanceActions,
  ...networkActions,
  ...routeActions,
  ...addressActions,
  ...securityGroupActions,
  ...securityGroupRuleActions,
  ...ec2TagActions,
};

/** By the version that a request names. */
export const services: Readonly<Record<string, Service>> = {
  '2015-12-01': querySpeaker(
    'elbv2',
    'elasticloadbalancing',
    elbActions,
    'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/',
  ),
  '2011-06-15': querySpeaker('sts', 'sts', stsActions, 'https://sts.amazonaws.com/doc/2011-06-15/'),
  '2016-11-15': {
    name: 'ec2',
    scope: 'ec2',
    actions: ec2Actions,
    answer: (action, result, requestId) =>
      `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${writeInside({ requestId, ...result }, 'item')}</${action}Response>`,
    refuse: ({ code, message }, requestId) =>
      `<Response><Errors>${writeInside({ Error: { Code: code, Message: message } }, 'item')}</Errors><RequestID>${requestId}</RequestID></Response>`,
    inOwnWords: ec2ParameterError,
  },
};

/** The plain query protocol. @see https://smithy.io/2.0/aws/protocols/aws-query-protocol.html */
function querySpeaker(name: Service['name'], scope: string, actions: Actions, namespace: string): Service {
  return {
    name,
    scope,
    actions,
    answer: (action, result, requestId) => {
      const inside = { [`${action}Result`]: result, ResponseMetadata: { RequestId: requestId } };
      return `<${action}Response xmlns="${namespace}">${writeInside(inside, 'member')}</${action}Response>`;
    },
    refuse: ({ code, message, status }, requestId) => {
      const inside = {
        Error: { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message },
        RequestId: requestId,
      };
      return `<ErrorResponse xmlns="${namespace}">${writeInside(inside, 'member')}</ErrorResponse>`;
    },
    inOwnWords: validationError,
  };
}
