import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { flag, list, oneOf, record, text, textOf, whole } from '../shapes.ts';
import { arnPrefix, type Listener, type LoadBalancer, type World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { checkArn, listener, loadBalancer } from './found.ts';
import { newListenerAttributes } from './listener-attributes.ts';
import { type AskedListener, checkListener, type ListenerSettings } from './listener-rules.ts';
import { dropListener, noteUse } from './listener-use.ts';
import { checkNamed, pageFields, pageOf } from './paging.ts';
import { mergeTags, tagsShape } from './tag-rules.ts';

const actionsShape = list(
  record(
    {
      Type: oneOf('forward', 'redirect', 'fixed-response', 'authenticate-oidc', 'authenticate-cognito', 'jwt-validation'),
      TargetGroupArn: text,
      Order: whole(1, 50_000),
      ForwardConfig: record({
        TargetGroups: list(record({ TargetGroupArn: text, Weight: whole(0, 999) }, ['TargetGroupArn'])),
        TargetGroupStickinessConfig: record({ Enabled: flag, DurationSeconds: whole(1, 604_800) }),
      }),
    },
    ['Type'],
  ),
);

const settingsFields = {
  Port: whole(1, 65535),
  Protocol: oneOf('HTTP', 'HTTPS', 'TCP', 'TLS', 'UDP', 'TCP_UDP', 'GENEVE', 'QUIC', 'TCP_QUIC'),
  SslPolicy: text,
  Certificates: list(record({ CertificateArn: text, IsDefault: flag }, ['CertificateArn'])),
  DefaultActions: actionsShape,
  AlpnPolicy: list(textOf(1, 64)),
};

const create = record({ LoadBalancerArn: text, ...settingsFields, Tags: tagsShape }, ['LoadBalancerArn', 'DefaultActions']);
const find = record({ LoadBalancerArn: text, ListenerArns: list(text), ...pageFields });
const modify = record({ ListenerArn: text, ...settingsFields }, ['ListenerArn']);
const drop = record({ ListenerArn: text }, ['ListenerArn']);

const USUAL_PAGE = 100;

export const listenerActions: Actions = {
  CreateListener: action(create, createListener),
  DescribeListeners: action(find, describeListeners),
  ModifyListener: action(modify, modifyListener),
  DeleteListener: action(drop, (world, { ListenerArn }) => {
    listener(world, ListenerArn);
    dropListener(world, ListenerArn);
    return {};
  }),
};

function createListener(world: World, input: ReturnType<typeof create>): XmlObject {
  const balancer = loadBalancer(world, input.LoadBalancerArn);
  const settings = checkListener(world, balancer, undefined, asked(input));
  const same = listenersOf(world, balancer).find(({ port }) => port === settings.port);
  if (same && isSame(same, settings)) return { Listeners: [listenerXml(same)] };
  if (same) {
    const message = `A listener already exists on this port for this load balancer '${balancer.arn}'`;
    throw new AwsFailure('DuplicateListener', message);
  }
  const { listenersPerLoadBalancer: most } = world.limits;
  if (balancer.listeners.size >= most) {
    throw new AwsFailure('TooManyListeners', `The maximum number of listeners has been reached: ${most}`);
  }
  const tags = mergeTags(world, undefined, input.Tags);
  const made: Listener = {
    arn: `${arnPrefix(world)}listener/${balancer.arn.split(':loadbalancer/')[1]}/${world.newId(16)}`,
    loadBalancerArn: balancer.arn,
    ...settings,
    attributes: newListenerAttributes(settings.protocol),
  };
  world.listeners.put(made.arn, made);
  balancer.listeners.add(made.arn);
  noteUse(world, made, []);
  if (tags.size > 0) world.tags.set(made.arn, tags);
  return { Listeners: [listenerXml(made)] };
}

function modifyListener(world: World, input: ReturnType<typeof modify>): XmlObject {
  const present = listener(world, input.ListenerArn);
  const balancer = loadBalancer(world, present.loadBalancerArn);
  const settings = checkListener(world, balancer, present, asked(input));
  const clash = listenersOf(world, balancer).find(({ port, arn }) => port === settings.port && arn !== present.arn);
  if (clash) {
    const message = `A listener already exists on this port for this load balancer '${balancer.arn}'`;
    throw new AwsFailure('DuplicateListener', message);
  }
  const before = present.forward;
  const protocolBefore = present.protocol;
  Object.assign(present, settings);
  if (protocolBefore !== present.protocol) {
    present.attributes.clear();
    for (const [key, value] of newListenerAttributes(present.protocol)) present.attributes.set(key, value);
  }
  noteUse(world, present, before);
  return { Listeners: [listenerXml(present)] };
}

function asked(input: Omit<ReturnType<typeof modify>, 'ListenerArn'>): AskedListener {
  const [first, ...others] = input.DefaultActions ?? [];
  if (input.DefaultActions && (!first || others.length > 0)) {
    throw new AwsFailure('ValidationError', 'Exactly one default action must be specified');
  }
  return {
    port: input.Port,
    protocol: input.Protocol,
    sslPolicy: input.SslPolicy,
    certificates: input.Certificates?.map(({ CertificateArn }) => CertificateArn),
    alpn: input.AlpnPolicy,
    action: first,
  };
}

function listenersOf(world: World, balancer: LoadBalancer): readonly Listener[] {
  return [...balancer.listeners].flatMap((arn) => world.listeners.get(arn) ?? []);
}

function isSame(present: Listener, settings: ListenerSettings): boolean {
  const keys = ['protocol', 'forward', 'sticky', 'sslPolicy', 'alpn'] as const;
  if (present.certificates[0] !== settings.certificates[0]) return false;
  return keys.every((key) => JSON.stringify(present[key]) === JSON.stringify(settings[key]));
}

function describeListeners(world: World, input: ReturnType<typeof find>): XmlObject {
  const { LoadBalancerArn, ListenerArns } = input;
  if ((LoadBalancerArn === undefined) === !ListenerArns?.length) {
    throw new AwsFailure('ValidationError', 'You must specify either listener ARNs or a load balancer ARN');
  }
  checkNamed(ListenerArns, 'listeners');
  const wanted = LoadBalancerArn === undefined ? (ListenerArns ?? []).map(byArn) : ofBalancer(LoadBalancerArn);
  const { page, next } = pageOf(wanted, ({ arn }) => arn, input, USUAL_PAGE);
  return { Listeners: page.map(listenerXml), NextMarker: next };

  function ofBalancer(balancerArn: string): readonly Listener[] {
    const { arn } = loadBalancer(world, balancerArn);
    return world.timings.consistencyMs === 0
      ? listenersOf(world, loadBalancer(world, arn))
      : world.listeners.allSeen().filter(({ loadBalancerArn }) => loadBalancerArn === arn);
  }

  function byArn(arn: string): Listener {
    checkArn(arn, 'listener', 'listener');
    const found = world.listeners.seen(arn);
    if (!found) throw new AwsFailure('ListenerNotFound', `One or more listeners not found: '${arn}'`);
    return found;
  }
}

export function listenerXml(one: Listener): XmlObject {
  const [single] = one.forward;
  return {
    ListenerArn: one.arn,
    LoadBalancerArn: one.loadBalancerArn,
    Port: one.port,
    Protocol: one.protocol,
    Certificates: one.protocol === 'TLS' ? one.certificates.slice(0, 1).map((CertificateArn) => ({ CertificateArn })) : undefined,
    SslPolicy: one.sslPolicy,
    DefaultActions: [
      {
        Type: 'forward',
        TargetGroupArn: one.forward.length === 1 ? single?.arn : undefined,
        ForwardConfig: {
          TargetGroups: one.forward.map(({ arn, weight }) => ({ TargetGroupArn: arn, Weight: weight })),
          TargetGroupStickinessConfig: one.forward.length > 1 ? { Enabled: one.sticky } : undefined,
        },
      },
    ],
    AlpnPolicy: one.alpn === undefined ? undefined : [one.alpn],
  };
}
