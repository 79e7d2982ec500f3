import { Refusal } from '../../errors.ts';
import { type Current, groupName } from './current.ts';
import { differing, sayAttributes } from './defaults.ts';
import type { Desired } from './desired.ts';
import { TAG } from './names.ts';
import { sayOthers } from './own-targets.ts';
import type { Observed, SeenGroup, SeenListener } from './picture.ts';
import type { Planned } from './plan-groups.ts';
import { leaveListener } from './plan-moves.ts';
import { groupsUsedBy, isCutting, oldGroup, type Share, sayGoal, sendsAsWanted, sharesOf, type Wanted } from './plan-shares.ts';
import { type DesiredListener, type DesiredShare, LISTENERS_MAX } from './ports.ts';
import { isReady } from './readiness.ts';
import { arnsOf } from './shares.ts';
import { type AwsStep, type ListenerSpec, step } from './steps.ts';

/**
 * AWS checks the targets of a group only once a listener uses it. A group that shall take a port over is therefore first given a
 * port up here, which no security group of ours opens, until its targets have been checked.
 */
export const WARM_UP_PORTS = { from: 65_000, to: 65_100 } as const;

export interface PlannedListeners extends Planned {
  /** ARNs of target groups that no listener will use after the steps. */
  readonly freed: ReadonlySet<string>;
  /** Listeners of Services that are going to another balancer wait, too, though nothing here waits for them. */
  readonly lingering: readonly AwsStep[];
}

const NOTHING: PlannedListeners = { steps: [], waiting: [], freed: new Set(), lingering: [] };

/** Listeners of the NLB: new ones, then changes, then what goes. */
export function planListeners(desired: Desired, current: Current, observed: Observed, now: number): PlannedListeners {
  const { balancer, name } = current;
  if (!balancer && desired.adoptArn !== undefined) return NOTHING; // its listeners are read first
  if (balancer && balancer.listeners === undefined) return NOTHING; // the tags prove that they are as they should be
  const seen = new Map((balancer?.listeners ?? []).map((listener) => [listener.port, listener]));
  const ours = new Set(observed.groups.map(({ arn }) => arn));
  const steps: AwsStep[] = [];
  const ends: AwsStep[] = [];
  const waiting: AwsStep[] = [];
  const lingering: AwsStep[] = [];
  const kept = new Set<number>();
  const freed = new Set<string>();
  const taken = new Set([...seen.keys(), ...desired.listeners.map(({ port }) => port)]);
  for (const listener of desired.listeners) {
    kept.add(listener.port);
    const spec = specOf(listener, desired, name);
    const had = seen.get(listener.port);
    if (had && desired.adoptArn !== undefined && !arnsOf(had).some((arn) => ours.has(arn))) {
      throw new Refusal('PortInUse', `NLB ${name} has a listener of somebody else on port ${listener.port}`);
    }
    if (!had) steps.push(...createListener(name, listener, spec));
    else {
      const change = changeListener({ name, listener, spec, had, observed, seen, taken, desired });
      steps.push(...change.steps);
      waiting.push(...change.waiting);
      for (const warm of change.warmUps) kept.add(warm);
      for (const arn of change.freed) freed.add(arn);
    }
  }
  for (const [port, listener] of seen) {
    if (kept.has(port) || (desired.adoptArn !== undefined && !arnsOf(listener).some((arn) => ours.has(arn)))) continue;
    const [group] = groupsUsedBy(listener, observed);
    const end = leaveListener(deleteListener(name, listener, group?.others), group, observed.moves, now);
    ends.push(...end.steps);
    lingering.push(...end.waiting);
    if (end.steps.some(({ kind }) => kind === 'delete-listener')) for (const arn of arnsOf(listener)) freed.add(arn);
  }
  const isFull = seen.size + steps.filter(({ kind }) => kind === 'create-listener').length > LISTENERS_MAX;
  return { steps: isFull ? [...ends, ...steps] : [...steps, ...ends], waiting, freed, lingering };
}

function specOf(listener: DesiredListener, desired: Desired, balancerName: string): ListenerSpec {
  const { port, protocol, certificates, tlsPolicy, alpnPolicy, group, spread } = listener;
  const { [TAG.retain]: _, ...tags } = desired.tags;
  const name = (one: DesiredShare): Share =>
    one.group ? { weight: one.weight, group: groupName(desired, balancerName, one.group) } : one;
  return {
    port,
    protocol,
    certificates,
    ...(tlsPolicy === undefined ? {} : { tlsPolicy }),
    ...(alpnPolicy === undefined ? {} : { alpnPolicy }),
    group: groupName(desired, balancerName, group),
    ...(spread ? { spread: { ...spread, others: spread.others.map(name) } } : {}),
    tags: { ...tags, [TAG.listener]: group.serves, [TAG.services]: group.uids.join(' ') },
  };
}

/** Attributes and further certificates first would need the listener; so it is made, and what is left is set at once after it. */
function createListener(balancer: string, listener: DesiredListener, spec: ListenerSpec): readonly AwsStep[] {
  const where = `${listener.protocol} port ${listener.port}`;
  const more = spec.certificates.slice(1);
  return [
    step(
      { kind: 'create-listener', balancer, spec },
      `listen on ${where} of NLB ${balancer} and send to ${sayGoal(spec)}`,
      'the Service has the port',
    ),
    ...(more.length > 0 ? [certificates('add-certificates', balancer, listener.port, more)] : []),
    ...setAttributes(balancer, listener, {}),
  ];
}

interface Change {
  readonly name: string;
  readonly listener: DesiredListener;
  readonly spec: ListenerSpec;
  readonly had: SeenListener;
  readonly observed: Observed;
  readonly seen: ReadonlyMap<number, SeenListener>;
  /** Ports of this NLB, those for warming up that this plan gives out included. */
  readonly taken: Set<number>;
  readonly desired: Desired;
}

interface ChangedListener extends Planned {
  /** Ports by which target groups are checked, or were until now. */
  readonly warmUps: readonly number[];
  readonly freed: readonly string[];
}

function changeListener(change: Change): ChangedListener {
  const { name, listener, spec, had, observed } = change;
  const wanted = sharesOf(spec, observed);
  const { before, after } = certificateSteps(name, spec, had);
  const extras = [...after, ...setAttributes(name, listener, had.attributes)];
  const differences = findDifferences(spec, had, wanted);
  if (differences.length === 0) return { steps: [...before, ...extras], waiting: [], warmUps: [], freed: [] };
  const act = step(
    { kind: 'change-listener', balancer: name, spec },
    `change port ${spec.port} of NLB ${name}: ${differences.join(', ')}`,
    'the Service has changed',
    { disrupts: isCutting(spec, had, wanted) },
  );
  const arns = wanted.map(({ arn }) => arn);
  const freed = arnsOf(had).filter((arn) => !arns.includes(arn));
  const fresh = wanted.filter(({ group, arn, weight }) => group !== undefined && weight > 0 && !arnsOf(had).includes(arn ?? ''));
  if (fresh.length === 0) return { steps: [...before, act, ...extras], waiting: [], warmUps: [], freed };
  return awaitFresh(change, fresh, { act, before, after: extras, freed });
}

/** Target groups that come to a port are checked by a port of their own first. */
function awaitFresh(
  { name, spec, had, observed, seen, taken, desired }: Change,
  fresh: readonly Wanted[],
  {
    act,
    before,
    after,
    freed,
  }: Record<'before' | 'after', readonly AwsStep[]> & {
    readonly act: AwsStep;
    readonly freed: readonly string[];
  },
): ChangedListener {
  const warm = fresh.flatMap(({ arn }) => [...seen.values()].find((one) => one !== had && one.groupArn === arn) ?? []);
  const old = oldGroup(had, observed);
  const hasNodes = desired.targets.ids.length > 0;
  const isDone = ({ arn }: Wanted): boolean => {
    const group = observed.groups.find((one) => one.arn === arn);
    return group !== undefined && warm.some(({ groupArn }) => groupArn === arn) && isReady(group, old, hasNodes);
  };
  const ports = warm.map(({ port }) => port);
  if (fresh.every(isDone)) {
    const ends = warm.map((one) => deleteListener(name, one));
    return { steps: [...before, act, ...ends, ...after], waiting: [], warmUps: ports, freed };
  }
  const waiting = [{ ...act, waitsFor: { what: 'healthy' } as const }];
  const lacking = fresh.filter(({ arn }) => !warm.some(({ groupArn }) => groupArn === arn));
  if (taken.size + lacking.length > LISTENERS_MAX) {
    if (desired.allowDisruption) return { steps: [...before, act, ...after], waiting: [], warmUps: [], freed };
    const full = `NLB ${name} has ${taken.size} listeners, ${taken.size < LISTENERS_MAX ? `of ${LISTENERS_MAX}` : 'as many as it takes'}: no room for one by which new targets are checked`;
    throw new Refusal(
      'DisruptionNotAllowed',
      `Port ${spec.port} would have to move to targets that have not been checked (${full})`,
    );
  }
  const steps = lacking.map(({ group = '' }) => {
    const port = freePort(taken);
    taken.add(port);
    ports.push(port);
    return warmUp(name, spec, group, port);
  });
  return { steps, waiting, warmUps: ports, freed: [] };
}

function warmUp(balancer: string, { spread: _, ...spec }: ListenerSpec, group: string, port: number): AwsStep {
  const act = { kind: 'create-listener', balancer, spec: { ...spec, group, port } } as const;
  const summary = `let NLB ${balancer} check the targets of ${group} (by a listener on port ${port}, for that time only)`;
  return step(act, summary, `port ${spec.port} sends there once they have been checked`);
}

function freePort(taken: ReadonlySet<number>): number {
  let port: number = WARM_UP_PORTS.from;
  while (taken.has(port) && port < WARM_UP_PORTS.to) port += 1;
  return port;
}

function findDifferences(spec: ListenerSpec, had: SeenListener, wanted: readonly Wanted[]): readonly string[] {
  const goal = spec.spread ? `target groups ${sayGoal(spec)}` : `target group ${spec.group}`;
  return [
    ...(had.protocol === spec.protocol ? [] : [`protocol ${had.protocol} -> ${spec.protocol}`]),
    ...(sendsAsWanted(spec, had, wanted) ? [] : [`${goal}${spec.spread?.sticky ? ', where clients stay' : ''}`]),
    ...(spec.certificates[0] === had.certificates[0] ? [] : [`certificate ${spec.certificates[0] ?? 'none'}`]),
    ...(spec.protocol !== 'TLS' || spec.tlsPolicy === had.tlsPolicy ? [] : [`policy ${had.tlsPolicy} -> ${spec.tlsPolicy}`]),
    ...(spec.protocol !== 'TLS' || (spec.alpnPolicy ?? 'None') === (had.alpnPolicy ?? 'None')
      ? []
      : [`ALPN ${spec.alpnPolicy ?? 'None'}`]),
  ];
}

/** What is served by name is there before another certificate becomes the default, which the one before may have been. */
function certificateSteps(
  balancer: string,
  spec: ListenerSpec,
  had: SeenListener,
): { readonly before: readonly AwsStep[]; readonly after: readonly AwsStep[] } {
  const wanted = spec.certificates.slice(1);
  const more = wanted.filter((arn) => !had.certificates.slice(1).includes(arn));
  const gone = had.protocol === 'TLS' ? had.certificates.slice(1).filter((arn) => !spec.certificates.includes(arn)) : [];
  const add = more.length > 0 ? [certificates('add-certificates', balancer, spec.port, more)] : [];
  const remove =
    gone.length > 0 && spec.protocol === 'TLS' ? [certificates('remove-certificates', balancer, spec.port, gone)] : [];
  return had.protocol === 'TLS' ? { before: add, after: remove } : { before: [], after: [...add, ...remove] };
}

function certificates(
  kind: 'add-certificates' | 'remove-certificates',
  balancer: string,
  port: number,
  arns: readonly string[],
): AwsStep {
  const verb = kind === 'add-certificates' ? 'add' : 'remove';
  const summary = `${verb} ${arns.join(', ')} ${verb === 'add' ? 'to' : 'from'} port ${port} of NLB ${balancer}`;
  return step({ kind, balancer, port, certificates: arns }, summary, 'aws-load-balancer-ssl-cert', {
    disrupts: verb === 'remove',
  });
}

function setAttributes(balancer: string, listener: DesiredListener, seen: SeenListener['attributes']): readonly AwsStep[] {
  if (seen === undefined) return [];
  const attributes = differing(listener.attributes, seen, 'listener');
  if (Object.keys(attributes).length === 0) return [];
  const act = { kind: 'set-listener-attributes', balancer, port: listener.port, attributes } as const;
  return [step(act, `set ${sayAttributes(attributes)} on port ${listener.port} of NLB ${balancer}`, 'the Service asks for it')];
}

function deleteListener(balancer: string, { port, protocol }: SeenListener, others: SeenGroup['others'] = []): AwsStep {
  const isWarmUp = port >= WARM_UP_PORTS.from && port <= WARM_UP_PORTS.to;
  const act = { kind: 'delete-listener', balancer, port } as const;
  const cuts = others.length > 0 ? `, and no longer send to ${sayOthers(others)}` : '';
  return step(act, `stop listening on ${protocol} port ${port} of NLB ${balancer}${cuts}`, 'nothing asks for it any more', {
    disrupts: !isWarmUp,
  });
}
