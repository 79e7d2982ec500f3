import { groupName } from './current.ts';
import type { Desired, DesiredZone } from './desired.ts';
import { TAG } from './names.ts';
import type { Observed, SeenBalancer, SeenTarget, SeenZone } from './picture.ts';
import type { Planned } from './plan-groups.ts';
import { mayTakeOver } from './readiness.ts';
import { groupsOf } from './shares.ts';
import { type AwsStep, step } from './steps.ts';

/** What the tag on an NLB says of a change of its zones that is under way. */
export interface ZoneNote {
  /** Milliseconds since the epoch: since then the status names no address in a zone that shall go. */
  readonly since: number;
  /** Zones that have come and are not proven to serve yet. */
  readonly coming: readonly string[];
  readonly leaving: readonly string[];
  /** Zones that shall go as soon as the others serve: the status still names their addresses. */
  readonly pending: readonly string[];
}

type ToldZones = Pick<ZoneNote, 'since'> & Partial<ZoneNote>;

/** `1800000000000 +eu-west-1b -eu-west-1a`, or `1800000000000 ?eu-west-1a` */
export function readZoneNote({ tags }: Pick<SeenBalancer, 'tags'>): ZoneNote | undefined {
  const [since, ...words] = tags[TAG.zones]?.split(' ') ?? [];
  if (since === undefined) return undefined;
  const marked = (mark: string): readonly string[] =>
    words.filter((word) => word.startsWith(mark)).map((word) => word.slice(mark.length));
  return { since: Number(since), coming: marked('+'), leaving: marked('-'), pending: marked('?') };
}

function writeZoneNote({ since, coming = [], leaving = [], pending = [] }: ToldZones): string {
  const marked = (mark: string, zones: readonly string[]): readonly string[] => zones.map((zone) => mark + zone);
  return [since, ...marked('+', coming), ...marked('-', leaving), ...marked('?', pending)].join(' ');
}

/** Whether the NLB is in other zones than it shall be, or has been until a moment ago. */
export function isChangingZones(desired: Desired, seen: SeenBalancer): boolean {
  if (desired.adoptArn !== undefined) return false;
  const both = new Set([...desired.zones, ...seen.zones].map(({ subnetId }) => subnetId));
  return both.size !== desired.zones.length || both.size !== seen.zones.length || seen.tags[TAG.zones] !== undefined;
}

/**
 * Zones that come are added beside those that go. When the new ones serve, the status gives up the addresses of those that go, and they
 * go after the grace time: with a zone AWS cuts all its connections.
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/availability-zones.html
 */
export function planZones(desired: Desired, seen: SeenBalancer, observed: Observed, now: number): Planned {
  const had = new Map(seen.zones.map((zone) => [zone.zone, zone]));
  const coming = desired.zones.filter(({ zone }) => !had.has(zone));
  const leaving = leavingZones(desired, seen);
  const meanwhile = awaitsIpv6(desired, seen, observed) ? withoutIpv6(desired) : desired;
  const both = [...meanwhile.zones, ...leaving.map(keep)];
  const note = readZoneNote(seen);
  if (coming.length > 0) {
    const told = { since: now, coming: namesOf(coming) };
    return { steps: [mark(seen, told, 'its zones change'), setSubnets(meanwhile, seen, both, [])], waiting: [] };
  }
  const settings = hasSettings(meanwhile, seen) ? [] : [setSubnets(meanwhile, seen, both, [])];
  const gone = namesOf(leaving);
  const change = (): AwsStep => setSubnets(desired, seen, desired.zones, gone);
  if (leaving.length === 0) {
    if (!note) return { steps: settings, waiting: [] };
    const end = unmark(seen);
    return note.coming.length === 0 || serves(desired, seen, [], observed)
      ? { steps: [...settings, end], waiting: [] }
      : { steps: settings, waiting: [{ ...end, waitsFor: { what: 'healthy' } }] };
  }
  if (!serves(desired, seen, gone, observed)) {
    const isNoted = note !== undefined || seen.state === 'provisioning'; // which is looked at anyway
    const begun = isNoted
      ? []
      : [mark(seen, { since: now, pending: gone }, 'their targets are looked at until the others serve')];
    return { steps: [...settings, ...begun], waiting: [{ ...change(), waitsFor: { what: 'healthy' } }] };
  }
  const isTold = note !== undefined && note.coming.length === 0 && note.leaving.join() === gone.join();
  const until = (isTold ? note.since : now) + desired.graceSeconds * 1_000;
  const steps = isTold ? settings : [...settings, mark(seen, { since: now, leaving: gone }, sayLeaving(gone, desired))];
  if (now >= until) return { steps: [...steps, change()], waiting: [] };
  return { steps, waiting: [{ ...change(), waitsFor: { what: 'time', until } }] };
}

/** Whether IPv6 has to wait for a zone to go whose subnet has none: AWS wants it in all subnets at once. */
export function awaitsIpv6(desired: Desired, seen: SeenBalancer, { facts }: Observed): boolean {
  if (desired.ipAddressType !== 'dualstack' || seen.ipAddressType === 'dualstack') return false;
  const able = new Set(facts?.subnets.flatMap(({ id, ipv6Cidr }) => (ipv6Cidr === undefined ? [] : [id])));
  return leavingZones(desired, seen).some(({ subnetId }) => !able.has(subnetId));
}

function withoutIpv6({ ipv6SourceNat: _, ...desired }: Desired): Desired {
  const zones = desired.zones.map(({ ipv6: _ipv6, sourceNatPrefix: _prefix, ...zone }) => zone);
  return { ...desired, zones, ipAddressType: 'ipv4' };
}

function leavingZones(desired: Desired, seen: SeenBalancer): readonly SeenZone[] {
  const wanted = new Set(desired.zones.map(({ zone }) => zone));
  return seen.zones.filter(({ zone }) => !wanted.has(zone));
}

function sayLeaving(zones: readonly string[], { graceSeconds }: Desired): string {
  return `it leaves ${zones.join(', ')} after ${graceSeconds} s`;
}

/** The zone as it is. */
function keep({ zone, subnetId, sourceNatPrefix, addresses: [first] }: SeenZone): DesiredZone {
  return {
    zone,
    subnetId,
    ...(first?.allocationId === undefined ? {} : { allocationId: first.allocationId }),
    ...(first?.privateIpv4 === undefined ? {} : { privateIpv4: first.privateIpv4 }),
    ...(first?.ipv6 === undefined ? {} : { ipv6: first.ipv6 }),
    ...(sourceNatPrefix === undefined ? {} : { sourceNatPrefix }),
  };
}

function namesOf(zones: readonly { readonly zone: string }[]): readonly string[] {
  return zones.map(({ zone }) => zone).sort();
}

/** IPv6 source NAT is a setting of subnets, too. */
function hasSettings({ ipv6SourceNat: nat, zones }: Desired, seen: SeenBalancer): boolean {
  if (nat !== undefined && nat !== (seen.ipv6SourceNat ?? 'off')) return false;
  return zones.every(({ subnetId, sourceNatPrefix }) => {
    const had = seen.zones.find((zone) => zone.subnetId === subnetId)?.sourceNatPrefix ?? 'auto_assigned';
    return sourceNatPrefix === undefined || sourceNatPrefix === had;
  });
}

/** Whether the NLB serves in the zones that stay: their targets have been checked. */
function serves(desired: Desired, seen: SeenBalancer, leaving: readonly string[], { groups, facts }: Observed): boolean {
  if (seen.state === 'provisioning') return false;
  const goes = ({ id }: SeenTarget): boolean => leaving.includes(facts?.instances[id]?.zone ?? '');
  return groupsOf(desired.listeners).every((group) => {
    const targets = groups.find(({ name }) => name === groupName(desired, seen.name, group))?.targets;
    const staying = targets?.filter((target) => !goes(target));
    return mayTakeOver(staying, targets?.filter(goes));
  });
}

function setSubnets(desired: Desired, seen: SeenBalancer, zones: readonly DesiredZone[], lost: readonly string[]): AwsStep {
  const { ipv6SourceNat: nat, ipAddressType } = desired;
  const act = {
    kind: 'set-subnets',
    balancer: seen.name,
    zones,
    ...(nat ? { ipv6SourceNat: nat } : {}),
    ...(ipAddressType === 'dualstack' && seen.ipAddressType !== ipAddressType ? { ipAddressType } : {}),
  } as const;
  const summary = `set the subnets of NLB ${seen.name} to ${sayZones(zones)}${nat ? `, IPv6 source NAT ${nat}` : ''}`;
  const reason = lost.length > 0 ? `${lost.join(', ')} is not wanted any more` : 'the Service asks for it';
  return step(act, summary, reason, { disrupts: lost.length > 0 });
}

export function sayZones(zones: readonly DesiredZone[]): string {
  return zones.map(({ subnetId }) => subnetId).join(', ');
}

function mark({ name }: SeenBalancer, note: ToldZones, reason: string): AwsStep {
  const act = { kind: 'add-tags', resources: [name], tags: { [TAG.zones]: writeZoneNote(note) } } as const;
  const said = (zones: readonly string[] | undefined, what: string): readonly string[] => zones?.map((zone) => zone + what) ?? [];
  const { coming, leaving, pending } = note;
  const what = [...said(coming, ' comes'), ...said(leaving, ' goes'), ...said(pending, ' shall go')].join(', ');
  return step(act, `note on NLB ${name} that ${what}`, reason);
}

function unmark({ name }: SeenBalancer): AwsStep {
  const act = { kind: 'remove-tags', resources: [name], tags: [TAG.zones] } as const;
  return step(act, `take the note about its zones off NLB ${name}`, 'it serves in all of them');
}
