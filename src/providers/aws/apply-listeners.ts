import {
  AddListenerCertificatesCommand,
  CreateListenerCommand,
  DeleteListenerCommand,
  ModifyListenerAttributesCommand,
  ModifyListenerCommand,
  RemoveListenerCertificatesCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { writeAttributes, writeTags } from './answers.ts';
import { type ActOf, type Bench, balancerOf, groupOf, listenerOf } from './bench.ts';
import { isCalled } from './failures.ts';
import type { SeenListener } from './picture.ts';

export async function createListener(bench: Bench, { balancer, spec }: ActOf<'create-listener'>): Promise<void> {
  const { arn, listeners } = balancerOf(bench, balancer);
  if (listeners?.some(({ port }) => port === spec.port)) return;
  const group = groupOf(bench, spec.group);
  const input = { LoadBalancerArn: arn, Port: spec.port, ...listenerInput(spec, group.arn), Tags: writeTags(spec.tags) };
  try {
    const answer = await bench.calls.elb('CreateListener', (elb) => elb.send(new CreateListenerCommand(input)));
    const listenerArn = answer.Listeners?.[0]?.ListenerArn ?? '';
    const listener = { arn: listenerArn, ...seenListener(spec, group.arn), attributes: {} };
    const now = balancerOf(bench, balancer);
    bench.inventory.put('balancers', { ...now, listeners: [...(now.listeners ?? []), listener] });
    attach(bench, spec.group, arn);
  } catch (thrown) {
    if (!isCalled(thrown, 'DuplicateListenerException')) throw thrown;
    const now = await bench.reader.listeners(arn); // made by a try of ours whose answer was lost
    bench.inventory.put('balancers', { ...balancerOf(bench, balancer), listeners: now });
    if (now.some((one) => one.groupArn === group.arn)) attach(bench, spec.group, arn);
  }
}

/** AWS begins to check a group's targets once a listener uses it. */
function attach(bench: Bench, name: string, balancerArn: string): void {
  const group = groupOf(bench, name);
  const targets = group.targets?.map((one) => (one.state === 'unused' ? { id: one.id, port: one.port, state: 'unread' } : one));
  const balancerArns = [...new Set([...group.balancerArns, balancerArn])];
  bench.inventory.put('groups', { ...group, balancerArns, ...(targets ? { targets } : {}) });
}

function listenerInput(spec: ActOf<'create-listener'>['spec'], groupArn: string) {
  const [certificate] = spec.certificates;
  return {
    Protocol: spec.protocol,
    DefaultActions: [{ Type: 'forward' as const, TargetGroupArn: groupArn }],
    ...(certificate === undefined ? {} : { Certificates: [{ CertificateArn: certificate }] }),
    ...(spec.protocol === 'TLS' && spec.tlsPolicy !== undefined ? { SslPolicy: spec.tlsPolicy } : {}),
    ...(spec.protocol === 'TLS' ? { AlpnPolicy: [spec.alpnPolicy ?? 'None'] } : {}),
  };
}

function seenListener(spec: ActOf<'create-listener'>['spec'], groupArn: string): Omit<SeenListener, 'arn'> {
  return {
    port: spec.port,
    protocol: spec.protocol,
    groupArn,
    certificates: spec.certificates.slice(0, 1),
    ...(spec.protocol === 'TLS' && spec.tlsPolicy ? { tlsPolicy: spec.tlsPolicy } : {}),
    ...(spec.protocol === 'TLS' && spec.alpnPolicy ? { alpnPolicy: spec.alpnPolicy } : {}),
  };
}

export async function changeListener(bench: Bench, { balancer, spec }: ActOf<'change-listener'>): Promise<void> {
  const had = listenerOf(bench, balancer, spec.port);
  const group = groupOf(bench, spec.group);
  const input = { ListenerArn: had.arn, Port: spec.port, ...listenerInput(spec, group.arn) };
  await bench.calls.elb('ModifyListener', (elb) => elb.send(new ModifyListenerCommand(input)));
  const more = spec.protocol === 'TLS' ? had.certificates.slice(1) : [];
  const attributes = had.protocol === spec.protocol ? had.attributes : {};
  replaceListener(bench, balancer, {
    arn: had.arn,
    ...seenListener(spec, group.arn),
    certificates: [...spec.certificates.slice(0, 1), ...more],
    ...(attributes ? { attributes } : {}),
  });
  const { arn } = balancerOf(bench, balancer);
  attach(bench, spec.group, arn);
  if (had.groupArn !== group.arn) detach(bench, balancer, had.groupArn);
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
  detach(bench, balancer, seen.groupArn);
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
  if (!group || listeners?.some((one) => one.groupArn === groupArn)) return;
  bench.inventory.put('groups', { ...group, balancerArns: group.balancerArns.filter((one) => one !== arn) });
}
