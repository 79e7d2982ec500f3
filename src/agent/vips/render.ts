import { type IdRange, priorityOf, type VipGroup, type VipPeer } from './plan.ts';

/** Where an address goes. */
export interface Placed {
  readonly address: string;
  readonly interface: string;
}

/** A group as this agent takes part in it. */
export interface PlacedGroup extends Pick<VipGroup, 'id' | 'order'> {
  readonly addresses: readonly Placed[];
}

export interface KeepalivedSettings {
  /** This agent's name in the groups' orders. */
  readonly self: VipPeer;
  readonly family: 'IPv4' | 'IPv6';
  /** Interface that has `self.address`. */
  readonly interface: string;
  /** Absolute, without spaces, quotes and `#!{}$`: `judgePath`. */
  readonly runDir: string;
  /** Between two advertisements, 40 to 40,000 in tens (RFC 9568 counts in 12 bits of hundredths of a second). */
  readonly advertMs: number;
  /** Addresses of agents that are told who holds a group, but take no part any more. */
  readonly former: readonly string[];
}

/** Whom an agent tells that has nobody to tell: without a peer keepalived would speak to every router on the segment. */
const LONELY = { IPv4: '127.0.0.1', IPv6: '::1' } as const;

/** At takeover, then again after this long, then as often as `REFRESH_SECONDS`: switches and neighbours forget, and frames get lost. */
const ANNOUNCE_TIMES = 3;
const ANNOUNCE_AGAIN_SECONDS = 1;
/** kube-vip repeats after 3 s; a switch keeps an address for 300 s by default. */
const REFRESH_SECONDS = 5;

/**
 * keepalived's whole configuration, for one agent. Everybody starts as backup, the priority is the rank, and a tracked file a group
 * takes from it what the agent writes there. The addresses are not in the advertisements (`_excluded`): agents that know different
 * sets of them for a moment still understand each other. Version 3 wants at least one address in there, so each group has an anchor
 * that nobody uses, on the loopback interface.
 */
export function renderKeepalived(settings: KeepalivedSettings, groups: readonly PlacedGroup[]): string {
  return [
    ...globals(settings),
    ...groups.flatMap((group) => [...trackFile(settings, group.id), ...instance(settings, group)]),
    '',
  ].join('\n');
}

/** The tracked file of a group. */
export function fileOf(runDir: string, id: number): string {
  return `${runDir}/group-${id}`;
}

export function fifoOf(runDir: string): string {
  return `${runDir}/events`;
}

/** The address that stands for a group in its advertisements. */
export function anchorOf(id: number, family: 'IPv4' | 'IPv6'): string {
  return family === 'IPv4' ? `127.86.82.${id}` : `fe80::5652:${id.toString(16)}`;
}

/** Every anchor that a range may have put on the loopback interface. */
export function anchorsOf({ first, last }: IdRange): readonly string[] {
  const ids = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  return ids.flatMap((id) => [anchorOf(id, 'IPv4'), anchorOf(id, 'IPv6')]);
}

/** What keepalived's grammar would not take as it stands. */
export function judgePath(path: string): string | undefined {
  return /^\/[A-Za-z0-9_.,+:@/-]+$/.test(path) ? undefined : 'must be an absolute path of letters, digits and "_.,+:@/-"';
}

/** Interfaces whose names keepalived's grammar would misread are left alone. */
export function isPlainInterface(name: string): boolean {
  return /^[A-Za-z0-9_.@-]{1,15}$/.test(name);
}

const LABEL = ':nplb';
const LABEL_MOST = 15; // IFNAMSIZ less the final zero

/** The label of an IPv4 address of ours on an interface; undefined where the name leaves no room for it. */
export function labelOf(name: string): string | undefined {
  return name.length + LABEL.length <= LABEL_MOST ? `${name}${LABEL}` : undefined;
}

function globals({ self, runDir }: KeepalivedSettings): string[] {
  return block('global_defs', [
    `router_id ${self.address}`,
    'vrrp_version 3',
    'script_user root',
    `vrrp_notify_fifo ${fifoOf(runDir)}`,
    `vrrp_garp_master_repeat ${ANNOUNCE_TIMES}`,
    `vrrp_garp_master_delay ${ANNOUNCE_AGAIN_SECONDS}`,
    `vrrp_garp_master_refresh ${REFRESH_SECONDS}`,
    'vrrp_garp_lower_prio_repeat 1',
  ]);
}

function trackFile({ runDir }: KeepalivedSettings, id: number): string[] {
  return block(`track_file ${nameOf(id)}`, [`file ${fileOf(runDir, id)}`, 'weight 1']);
}

function instance(settings: KeepalivedSettings, { id, order, addresses }: PlacedGroup): string[] {
  const { self, family, advertMs, former } = settings;
  const rank = order.findIndex((peer) => peer.name === self.name);
  const others = order.filter((peer) => peer.name !== self.name).map((peer) => peer.address);
  const told = [...new Set([...others, ...former])].filter((address) => address !== self.address).sort();
  const elsewhere = [...new Set(addresses.map((one) => one.interface))].filter((name) => name !== settings.interface).sort();
  return block(`vrrp_instance ${nameOf(id)}`, [
    'state BACKUP',
    `interface ${settings.interface}`,
    ...(family === 'IPv6' ? ['native_ipv6'] : []),
    `virtual_router_id ${id}`,
    `priority ${priorityOf(rank, order.length)}`,
    `advert_int ${advertMs / 1_000}`,
    'accept',
    `unicast_src_ip ${self.address}`,
    ...block('unicast_peer', told.length > 0 ? told : [LONELY[family]]),
    ...block('virtual_ipaddress', [
      family === 'IPv4' ? `${anchorOf(id, family)}/32 dev lo scope host` : `${anchorOf(id, family)}/128 dev lo`,
    ]),
    ...block('virtual_ipaddress_excluded', [...addresses].sort(byAddress).map(place)),
    ...(elsewhere.length > 0 ? block('track_interface', elsewhere) : []),
    ...block('track_file', [nameOf(id)]),
  ]);
}

function byAddress(a: Placed, b: Placed): number {
  return a.address < b.address ? -1 : a.address > b.address ? 1 : 0;
}

/** Of its own (/32, /128), so that no route comes and goes with it. */
function place({ address, interface: name }: Placed): string {
  if (address.includes(':')) return `${address}/128 dev ${name}`;
  const label = labelOf(name);
  return `${address}/32 dev ${name}${label === undefined ? '' : ` label ${label}`}`;
}

function nameOf(id: number): string {
  return `nplb_${id}`;
}

function block(head: string, lines: readonly string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), '}'];
}
