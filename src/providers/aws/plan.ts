import { type Current, chooseCurrent, recordOf, targetsHash } from './current.ts';
import { differing, sayAttributes } from './defaults.ts';
import type { Desired } from './desired.ts';
import { CHANGING, TAG } from './names.ts';
import type { Observed, SeenBalancer, Tags } from './picture.ts';
import { type Planned, planGroups } from './plan-groups.ts';
import { planListeners } from './plan-listeners.ts';
import { deleteBalancer, planLeftovers } from './plan-removal.ts';
import { attachedGroups, planAttachment, planSecurity, setGroups } from './plan-security.ts';
import { awaitsIpv6, planZones, sayZones } from './plan-zones.ts';
import { type AwsStep, step } from './steps.ts';

/**
 * Pure. All the steps from what is observed to what is wanted: security groups, then target groups with their targets, then the
 * NLB, and its listeners last, because a target group that a listener uses proves after a crash that all before it was done.
 * What waits comes at the end, soonest first.
 * @param now milliseconds since the epoch
 * @throws {import('../../errors.ts').Refusal} when the change cannot be made without a gap that the Service does not allow
 */
export function planBalancer(desired: Desired, observed: Observed, now: number): readonly AwsStep[] {
  const current = chooseCurrent(desired, observed.balancers);
  const gaps = current.inTheWay.flatMap((old) => deleteBalancer(old, 'its successor cannot stand beside it', desired));
  const groups = planGroups(desired, current, observed);
  const listeners = planListeners(desired, current, observed, now);
  const security = planSecurity(desired, current, observed);
  const zones = planZonesIfOurs(desired, current, observed, now);
  const stickies = groups.steps.filter((one) => isSticky(one, current, observed));
  const steps = [
    ...gaps,
    ...security.steps,
    ...groups.steps.filter((one) => !stickies.includes(one)),
    ...planCurrent(desired, current, observed, zones.steps),
    ...listeners.steps,
    ...(listeners.waiting.length > 0 ? [] : [...stickies, ...security.last]),
  ];
  const waiting = [...groups.waiting, ...listeners.waiting];
  const records = waiting.length > 0 ? [] : planRecord(desired, current);
  const leftovers = planLeftovers(desired, current, observed, {
    busy: steps.length + waiting.length + records.length > 0,
    freed: listeners.freed,
    now,
  });
  const marks = steps.length > 0 ? planMark(desired, current) : [];
  const note = steps.length + records.length > 0 ? planNote(desired, observed) : [];
  return [
    ...note,
    ...marks,
    ...steps,
    ...records,
    ...leftovers.steps,
    ...[...waiting, ...zones.waiting, ...listeners.lingering, ...leftovers.waiting].sort(bySoonest),
  ];
}

/** Where a listener sends to several target groups, it keeps clients at one of them before that one keeps them on a node: AWS wants it so. */
function isSticky(one: AwsStep, { balancer }: Current, { groups }: Observed): boolean {
  if (one.kind !== 'set-group-attributes' || one.attributes['stickiness.enabled'] !== 'true') return false;
  const arn = groups.find(({ name }) => name === one.group)?.arn ?? '';
  return balancer?.listeners?.some((listener) => listener.forward?.some((share) => share.arn === arn)) ?? false;
}

function bySoonest(a: AwsStep, b: AwsStep): number {
  return (a.waitsFor?.until ?? 0) - (b.waitsFor?.until ?? 0);
}

function planZonesIfOurs(desired: Desired, { balancer }: Current, observed: Observed, now: number): Planned {
  if (!balancer || desired.adoptArn !== undefined) return { steps: [], waiting: [] };
  return planZones(desired, balancer, observed, now);
}

function planCurrent(desired: Desired, current: Current, observed: Observed, zones: readonly AwsStep[]): readonly AwsStep[] {
  if (!current.balancer)
    return desired.adoptArn === undefined ? createSteps(desired, current.name) : [adopt(desired, desired.adoptArn)];
  const changes = changeSteps(desired, current.balancer, observed, zones);
  return [...changes, ...planAttachment(desired, current, observed), ...tagSteps(desired, current.balancer)];
}

/** Its listeners are looked at before any of ours comes to it: the next pass goes on. */
function adopt(desired: Desired, arn: string): AwsStep {
  const { [TAG.retain]: _, ...ours } = desired.tags;
  return step(
    { kind: 'adopt-balancer', arn, tags: { ...ours, [TAG.adopted]: 'true' } },
    `use NLB ${arn}`,
    'nodeport-lb.io/aws-load-balancer-arn',
  );
}

/** Whether a listener that exists has all that it shall have: nothing has to be set after it was made. */
function isDoneByCreation({ certificates, attributes }: Desired['listeners'][number]): boolean {
  return certificates.length <= 1 && Object.keys(differing(attributes, {}, 'listener')).length === 0;
}

function createSteps(desired: Desired, name: string): readonly AwsStep[] {
  const tags = { ...desired.tags, ...(desired.listeners.every(isDoneByCreation) ? recordOf(desired) : {}) };
  const spec = {
    name,
    scheme: desired.scheme,
    ipAddressType: desired.ipAddressType,
    zones: desired.zones,
    groups: attachedGroups(desired, name),
    ...(desired.ipv6SourceNat ? { ipv6SourceNat: desired.ipv6SourceNat } : {}),
    tags,
  };
  const summary = `create ${desired.scheme} NLB ${name} in ${sayZones(desired.zones)}`;
  const attributes = differing(desired.attributes, {}, 'balancer');
  return [
    step(
      { kind: 'create-balancer', key: desired.key, spec },
      summary,
      `there is none; ${desired.scheme}: ${desired.schemeReason}`,
      desired.schemeChoice === undefined ? {} : { choice: desired.schemeChoice },
    ),
    ...(Object.keys(attributes).length > 0 ? [setAttributes(name, attributes)] : []),
    ...(desired.privateLinkRules === undefined ? [] : [setGroups(desired, name)]),
    ...setCapacity(desired, name, 0),
  ];
}

function changeSteps(desired: Desired, seen: SeenBalancer, observed: Observed, zones: readonly AwsStep[]): readonly AwsStep[] {
  const steps: AwsStep[] = [];
  const { name } = seen;
  if (desired.adoptArn !== undefined) return steps; // it is used as it is
  const carried = zones.some(({ kind }) => kind === 'set-subnets'); // UDP takes no other family without source NAT in the same call
  const comes = seen.ipAddressType !== desired.ipAddressType && desired.ipAddressType === 'dualstack';
  if (comes && !carried && !awaitsIpv6(desired, seen, observed)) steps.push(setAddressType(desired, name));
  steps.push(...zones);
  if (seen.ipAddressType !== desired.ipAddressType && desired.ipAddressType === 'ipv4') steps.push(setAddressType(desired, name));
  const attributes = seen.attributes === undefined ? {} : differing(desired.attributes, seen.attributes, 'balancer');
  if (Object.keys(attributes).length > 0) steps.push(setAttributes(name, attributes));
  if (seen.listeners !== undefined) steps.push(...setCapacity(desired, name, seen.capacityUnits ?? 0));
  return steps;
}

function setCapacity({ capacityUnits }: Desired, balancer: string, had: number): readonly AwsStep[] {
  if (capacityUnits === undefined || capacityUnits === had) return [];
  const what = capacityUnits === 0 ? 'give back the reserved capacity' : `reserve ${capacityUnits} capacity units`;
  return [step({ kind: 'set-capacity', balancer, capacityUnits }, `${what} for NLB ${balancer}`, 'the Service asks for it')];
}

function setAddressType({ ipAddressType }: Desired, balancer: string): AwsStep {
  return step(
    { kind: 'set-address-type', balancer, ipAddressType },
    `make NLB ${balancer} ${ipAddressType}`,
    'the Service asks for it',
    {
      disrupts: ipAddressType === 'ipv4',
    },
  );
}

function setAttributes(balancer: string, attributes: Tags): AwsStep {
  return step(
    { kind: 'set-balancer-attributes', balancer, attributes },
    `set ${sayAttributes(attributes)} on NLB ${balancer}`,
    'the Service asks for it',
  );
}

/** Differences of tags that authors see, and the end of a retirement. What others tagged stays. */
function tagSteps(desired: Desired, seen: SeenBalancer): readonly AwsStep[] {
  const wanted = desired.tags;
  const missing = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => seen.tags[name] !== value));
  const ended = [TAG.retired, ...(desired.retain ? [] : [TAG.retain])].filter((name) => seen.tags[name] !== undefined);
  const authors = Object.fromEntries(Object.entries(missing).filter(([name]) => !name.startsWith('nodeport-lb.io/')));
  return [
    ...(Object.keys(authors).length > 0 && desired.adoptArn === undefined
      ? [
          step(
            { kind: 'tag-listeners', balancer: seen.name, tags: authors },
            `tag the listeners of NLB ${seen.name} with ${sayAttributes(authors)}`,
            'the Service asks for it',
          ),
        ]
      : []),
    ...(Object.keys(missing).length > 0
      ? [
          step(
            { kind: 'add-tags', resources: [seen.name], tags: missing },
            `tag NLB ${seen.name} with ${sayAttributes(missing)}`,
            'the Service asks for it',
          ),
        ]
      : []),
    ...(ended.length > 0
      ? [
          step(
            { kind: 'remove-tags', resources: [seen.name], tags: ended },
            `take ${ended.join(', ')} off NLB ${seen.name}`,
            'it is wanted',
          ),
        ]
      : []),
  ];
}

/**
 * Before anything changes, the fingerprints of what was done are taken back. Otherwise a change that is cut off by a crash, and undone in the
 * cluster before the next start, would look as if it had never been begun: a node that came and went would stay a target.
 */
function planMark(desired: Desired, { balancer, name }: Current): readonly AwsStep[] {
  const stale = Object.entries(recordOf(desired)).flatMap(([tag, value]) => {
    const had = balancer?.tags[tag];
    return had === undefined || had === CHANGING || had === value ? [] : [[tag, CHANGING] as const];
  });
  if (stale.length === 0) return [];
  const act = { kind: 'add-tags', resources: [name], tags: Object.fromEntries(stale) } as const;
  return [step(act, `note on NLB ${name} that it is being changed`, 'a start after a crash then looks at what is really there')];
}

/**
 * One note for all NLBs, on the group that they share, takes back what it says of their targets while these change; `Ledger` writes it
 * anew when all have them. So a node that comes costs each target group one call.
 */
function planNote(desired: Desired, { shared }: Observed): readonly AwsStep[] {
  const basis = targetsHash(desired);
  const had = shared.backend?.tags[TAG.targets];
  if (!desired.asAll || had === undefined || had === CHANGING || had === basis) return [];
  const summary = 'note on the shared group that targets are being changed';
  return [step({ kind: 'note-targets', basis }, summary, 'a start after a crash then looks at what is really there')];
}

/** The fingerprints of what is done, so that the next start needs to read nothing. */
function planRecord(desired: Desired, { balancer, name }: Current): readonly AwsStep[] {
  if (!balancer && (desired.adoptArn !== undefined || desired.listeners.every(isDoneByCreation))) return [];
  const tags = Object.fromEntries(Object.entries(recordOf(desired)).filter(([tag, value]) => balancer?.tags[tag] !== value));
  if (Object.keys(tags).length === 0) return [];
  const summary = `note on NLB ${name} what has been applied`;
  return [step({ kind: 'add-tags', resources: [name], tags }, summary, 'the next start then has nothing to read')];
}
