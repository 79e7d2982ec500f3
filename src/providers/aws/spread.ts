import type { AwsAnnotations } from '../../config/aws-annotations.ts';
import { ACTIONS } from '../../config/weights.ts';
import { Refusal } from '../../errors.ts';
import type { Balancer, Listener, Share, Spread } from '../../model.ts';
import { describeCheck } from './checks.ts';
import type { ListenerProtocol } from './picture.ts';
import { groupAttributes, portName, whatNodesAdmit } from './port-words.ts';
import type { DesiredGroup, DesiredShare, DesiredSpread } from './ports.ts';

type OtherService = Extract<Share, { readonly targetGroup: unknown }>;

interface Port {
  readonly listens: ListenerProtocol;
  /** The Service's own. */
  readonly group: DesiredGroup;
  readonly asked: AwsAnnotations;
  readonly balancer: Balancer;
}

const STICKY = 'stickiness.enabled';

/**
 * Pure. How an NLB's listener shares connections out; undefined: it does not.
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html#default-actions
 * @throws {Refusal} for what an NLB cannot do
 */
export function describeSpread(same: readonly Listener[], port: Port): DesiredSpread | undefined {
  const [first] = same as [Listener];
  const spread = same.find((one) => one.spread)?.spread;
  if (!spread) return undefined;
  const annotation = `${ACTIONS}${port.listens}-${first.port}`;
  const { annotations = {} } = port.balancer.members.find(({ uid }) => uid === first.service.uid) ?? {};
  if (!Object.hasOwn(annotations, annotation)) {
    const named = Object.keys(annotations).find((name) => name.startsWith(ACTIONS) && name.endsWith(`-${first.port}`));
    throw new Refusal('AnnotationInvalid', `${portName(first)}: ${named}: the listener of that port is ${port.listens}`);
  }
  const others = spread.others.map((share, at): DesiredShare => {
    if (!('targetGroup' in share)) return { weight: share.weight, arn: share.id };
    return { weight: share.weight, group: describeOther(same, share, at, { ...port, annotation }) };
  });
  return { weight: spread.weight, sticky: chooseSticky(first, spread, others, { ...port, annotation }), others };
}

/** The target group of another Service. It is one NLB's alone, as all are, so that each that sends there has its own. */
function describeOther(
  same: readonly Listener[],
  share: OtherService,
  at: number,
  { listens, group: own, asked, balancer, annotation }: Port & { readonly annotation: string },
): DesiredGroup {
  const [first] = same as [Listener];
  const refuse = (why: string): never => {
    throw new Refusal('AnnotationInvalid', `${portName(first)}: ${annotation}: forwardConfig.targetGroups[${at}]${why}`);
  };
  if (share.decrypt && listens !== 'TLS') refuse(`.decrypt: the listener of that port is ${listens}`);
  if (share.decrypt && own.protocol === 'TLS') {
    refuse('.decrypt: all target groups of a listener have one protocol, and aws-load-balancer-backend-protocol says ssl');
  }
  const { nodePort } = share.targetGroup;
  const twin = same
    .flatMap(({ spread }) => spread?.others[at] ?? [])
    .find((one) => 'targetGroup' in one && one.targetGroup.nodePort !== nodePort);
  const name = `${share.service.name}:${share.port.port}`;
  if (twin) refuse(`: TCP and UDP have different nodePorts in Service ${name}, and an NLB sends both to one: give them the same`);
  const { namespace, uid } = first.service;
  const sibling = { ...first, service: { ...share.service, namespace, uid }, ...share.port, targetGroup: share.targetGroup };
  const check = describeCheck(share.targetGroup, asked.healthCheck, [sibling]);
  return sayUnsticky({
    serves: same.map((one) => `${one.port}/${one.protocol}@${name}`).join(' '),
    protocol: own.protocol,
    nodePort,
    check,
    attributes: groupAttributes(first, share.targetGroup, asked, balancer),
    uids: own.uids,
    ...(own.multiCluster ? { multiCluster: true as const } : {}),
    nodePorts: whatNodesAdmit(listens === 'TLS' ? 'TCP' : listens, nodePort, check),
  });
}

/**
 * What is no longer asked for stays as it is at AWS; but where a port has several target groups, one that keeps its clients would not let the
 * listener be changed.
 */
export function sayUnsticky(group: DesiredGroup): DesiredGroup {
  return group.protocol === 'TLS' ? group : { ...group, attributes: { [STICKY]: 'false', ...group.attributes } };
}

/** Where a group keeps its clients on one node, AWS wants the listener to keep them at one group. */
function chooseSticky(
  first: Listener,
  { sticky: asked }: Spread,
  others: readonly DesiredShare[],
  { listens, group, annotation }: Port & { readonly annotation: string },
): boolean {
  const needs = [group, ...others.flatMap((one) => one.group ?? [])].some(({ attributes }) => attributes[STICKY] === 'true');
  const sticky = asked ?? needs;
  const where = `${portName(first)}: ${annotation}: forwardConfig.targetGroupStickinessConfig.enabled`;
  if (needs && !sticky) {
    throw new Refusal(
      'AnnotationInvalid',
      `${where} must be true: a target group has ${STICKY} (sessionAffinity or an attribute)`,
    );
  }
  if (sticky && listens === 'TLS') {
    const why = asked ? '' : `, which ${STICKY} of a target group (sessionAffinity or an attribute) would need`;
    throw new Refusal('NotSupported', `${where}: an NLB does not keep clients of a TLS listener at one target group${why}`);
  }
  return sticky;
}
