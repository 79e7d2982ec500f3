import {
  AddListenerCertificatesCommand,
  CreateListenerCommand,
  DeleteListenerCommand,
  ModifyListenerAttributesCommand,
  ModifyListenerCommand,
  RemoveListenerCertificatesCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { explain, Refusal } from '../../errors.ts';
import { writeAttributes, writeTags } from './answers.ts';
import { type ActOf, type Bench, balancerOf, groupOf, listenerOf } from './bench.ts';
import { isCalled } from './failures.ts';
import type { SeenListener, SeenShare } from './picture.ts';
import { arnsOf } from './shares.ts';
import type { ListenerSpec } from './steps.ts';

/** What a listener says of a target group that it cannot send to. */
const UNFIT_GROUP = [
  'TargetGroupNotFoundException',
  'TargetGroupAssociationLimitException',
  'IncompatibleProtocolsException',
  'InvalidConfigurationRequestException',
];

export async function createListener(bench: Bench, { balancer, spec }: ActOf<'create-listener'>): Promise<void> {
  const { arn, listeners } = balancerOf(bench, balancer);
  if (listeners?.some(({ port }) => port === spec.port)) return;
  const shares = sharesOf(bench, spec);
  const input = { LoadBalancerArn: arn, Port: spec.port, ...listenerInput(spec, shares), Tags: writeTags(spec.tags) };
  try {
    const answer = await naming(spec, () =>
      bench.calls.elb('CreateListener', (elb) => elb.send(new CreateListenerCommand(input))),
    );
    const listenerArn = answer.Listeners?.[0]?.ListenerArn ?? '';
    const listener = { arn: listenerArn, ...seenListener(spec, shares), attributes: {} };
    const now = balancerOf(bench, balancer);
    bench.inventory.put('balancers', { ...now, listeners: [...(now.listeners ?? []), listener] });
    attach(bench, spec, arn);
  } catch (thrown) {
    if (!isCalled(thrown, 'DuplicateListenerException')) throw thrown;
    const now = await bench.reader.listeners(arn); // made by a try of ours whose answer was lost
    bench.inventory.put('balancers', { ...balancerOf(bench, balancer), listeners: now });
    const first = shares[0]?.arn ?? '';
    if (now.some((one) => arnsOf(one).includes(first))) attach(bench, spec, arn);
  }
}

/** The Service's own first. */
function sharesOf(bench: Bench, { group, spread }: ListenerSpec): readonly SeenShare[] {
  const others = (spread?.others ?? []).map(({ weight, group: name, arn = '' }) => ({
    arn: name === undefined ? arn : groupOf(bench, name).arn,
    weight,
  }));
  return [{ arn: groupOf(bench, group).arn, weight: spread?.weight ?? 1 }, ...others];
}

/** What AWS says of target groups that others made is for the author of their ARNs to put right. */
async function naming<T>({ spread }: ListenerSpec, call: () => Promise<T>): Promise<T> {
  const arns = spread?.others.flatMap(({ arn }) => arn ?? []) ?? [];
  try {
    return await call();
  } catch (cause) {
    const named = isCalled(cause, ...UNFIT_GROUP) ? arns.find((arn) => explain(cause).includes(arn)) : undefined;
    if (named === undefined) throw cause;
    throw new Refusal('AwsResourceUnknown', `Target group ${named} cannot be used: ${explain(cause).replace(/\.$/, '')}`, {
      cause,
    });
  }
}

/** AWS begins to check a group's targets once a listener uses it. */
function attach(bench: Bench, { group: own, spread }: ListenerSpec, balancerArn: string): void {
  for (const name of [own, ...(spread?.others ?? []).flatMap(({ group }) => group ?? [])]) attachGroup(bench, name, balancerArn);
}

function attachGroup(bench: Bench, name: string, balancerArn: string): void {
  const group = groupOf(bench, name);
  const targets = group.targets?.map((one) => (one.state === 'unused' ? { id: one.id, port: one.port, state: 'unread' } : one));
  const balancerArns = [...new Set([...group.balancerArns, balancerArn])];
  bench.inventory.put('groups', { ...group, balancerArns, ...(targets ? { targets } : {}) });
}

function listenerInput(spec: ListenerSpec, shares: readonly SeenShare[]) {
  const [certificate] = spec.certificates;
  return {
    Protocol: spec.protocol,
    DefaultActions: [{ Type: 'forward' as const, ...forwardTo(spec, shares) }],
    ...(certificate === undefined ? {} : { Certificates: [{ CertificateArn: certificate }] }),
    ...(spec.protocol === 'TLS' && spec.tlsPolicy !== undefined ? { SslPolicy: spec.tlsPolicy } : {}),
    ...(spec.protocol === 'TLS' ? { AlpnPolicy: [spec.alpnPolicy ?? 'None'] } : {}),
  };
}

function forwardTo({ spread }: ListenerSpec, shares: readonly SeenShare[]) {
  if (!spread) return { TargetGroupArn: shares[0]?.arn };
  const TargetGroups = shares.map(({ arn, weight }) => ({ TargetGroupArn: arn, Weight: weight }));
  return { ForwardConfig: { TargetGroups, TargetGroupStickinessConfig: { Enabled: spread.sticky } } };
}

function seenListener(spec: ListenerSpec, shares: readonly SeenShare[]): Omit<SeenListener, 'arn'> {
  return {
    port: spec.port,
    protocol: spec.protocol,
    groupArn: shares[0]?.arn ?? '',
    ...(spec.spread ? { forward: shares } : {}),
    ...(spec.spread?.sticky ? { sticky: true as const } : {}),
    certificates: spec.certificates.slice(0, 1),
    ...(spec.protocol === 'TLS' && spec.tlsPolicy ? { tlsPolicy: spec.tlsPolicy } : {}),
    ...(spec.protocol === 'TLS' && spec.alpnPolicy ? { alpnPolicy: spec.alpnPolicy } : {}),
  };
}

export async function changeListener(bench: Bench, { balancer, spec }: ActOf<'change-listener'>): Promise<void> {
  const had = listenerOf(bench, balancer, spec.port);
  const shares = sharesOf(bench, spec);
  const input = { ListenerArn: had.arn, Port: spec.port, ...listenerInput(spec, shares) };
  await naming(spec, () => bench.calls.elb('ModifyListener', (elb) => elb.send(new ModifyListenerCommand(input))));
  const more = spec.protocol === 'TLS' ? had.certificates.slice(1) : [];
  const attributes = had.protocol === spec.protocol ? had.attributes : {};
  replaceListener(bench, balancer, {
    arn: had.arn,
    ...seenListener(spec, shares),
    certificates: [...spec.certificates.slice(0, 1), ...more],
    ...(attributes ? { attributes } : {}),
  });
  const { arn } = balancerOf(bench, balancer);
  attach(bench, spec, arn);
  for (const left of arnsOf(had)) if (!shares.some((share) => share.arn === left)) detach(bench, balancer, left);
}

export async function changeListenerParts(
  bench: Bench,
  act: ActOf<'set-listener-attributes' | 'add-certificates' | 'remove-certificates'>,
): Promise<void> {
  const had = listenerOf(bench, act.balancer, act.port);
  const ListenerArn = had.arn;
  if (act.kind === 'set-listener-attributes') {
    const input = { ListenerArn, Attributes: writeAttributes(act.attributes) };
    await bench.calls.elb('ModifyListenerAttributes', (elb) => elb.send(new ModifyListenerAttributesCommand(input)));
    return replaceListener(bench, act.balancer, { ...had, attributes: { ...had.attributes, ...act.attributes } });
  }
  const input = { ListenerArn, Certificates: act.certificates.map((CertificateArn) => ({ CertificateArn })) };
  if (act.kind === 'add-certificates') {
    await bench.calls.elb('AddListenerCertificates', (elb) => elb.send(new AddListenerCertificatesCommand(input)));
    return replaceListener(bench, act.balancer, {
      ...had,
      certificates: [...had.certificates.slice(0, 1), ...new Set([...had.certificates.slice(1), ...act.certificates])],
    });
  }
  await bench.calls.elb('RemoveListenerCertificates', (elb) => elb.send(new RemoveListenerCertificatesCommand(input)));
  return replaceListener(bench, act.balancer, {
    ...had,
    certificates: had.certificates.filter((arn, at) => at === 0 || !act.certificates.includes(arn)),
  });
}

export async function deleteListener(bench: Bench, { balancer, port }: ActOf<'delete-listener'>): Promise<void> {
  const seen = balancerOf(bench, balancer).listeners?.find((one) => one.port === port);
  if (!seen) return;
  try {
    await bench.calls.elb('DeleteListener', (elb) => elb.send(new DeleteListenerCommand({ ListenerArn: seen.arn })));
  } catch (thrown) {
    if (!isCalled(thrown, 'ListenerNotFoundException')) throw thrown;
  }
  const now = balancerOf(bench, balancer);
  bench.inventory.put('balancers', { ...now, listeners: (now.listeners ?? []).filter((one) => one.port !== port) });
  for (const left of arnsOf(seen)) detach(bench, balancer, left);
}

function replaceListener(bench: Bench, balancer: string, listener: SeenListener): void {
  const now = balancerOf(bench, balancer);
  bench.inventory.put('balancers', {
    ...now,
    listeners: (now.listeners ?? []).map((one) => (one.port === listener.port ? listener : one)),
  });
}

/** The group serves the NLB no more, unless another listener still sends there. */
function detach(bench: Bench, balancer: string, groupArn: string): void {
  const { arn, listeners } = balancerOf(bench, balancer);
  const group = bench.inventory.groups.get(groupArn);
  if (!group || listeners?.some((one) => arnsOf(one).includes(groupArn))) return;
  bench.inventory.put('groups', { ...group, balancerArns: group.balancerArns.filter((one) => one !== arn) });
}
