import { Refusal } from '../../errors.ts';
import { type Balancer, type IpFamily, type Listener, nameOf } from '../../model.ts';
import { formatIp, type Ip, parseIp } from './addresses.ts';
import type { Clash, Ledger } from './ledger.ts';
import { addressAt, type Pool, poolAdmits, poolHolds } from './pools.ts';

/** Says who in the cluster uses an address, whatever the pools say. */
export type ReservedBy = (address: string) => string | undefined;

/** One balancer asking for addresses, and all that the answer depends on. Nothing of it is changed by asking. */
export interface Ask {
  readonly balancer: Balancer;
  /** Every pool, in the order in which they are tried. */
  readonly pools: readonly Pool[];
  readonly ledger: Ledger;
  /** What the balancer has in memory. */
  readonly mine: readonly Ip[];
  readonly reservedBy: ReservedBy;
  /** What machines answer for that are none of ours, by address: given to nobody who did not ask for it. */
  readonly strangers: ReadonlyMap<string, string>;
  /** At how many different addresses the balancer met one of these; forgotten after a while. */
  readonly strangersMet: number;
  /** A port that somebody else has at a shared address is no obstacle: the younger is served on another port. */
  readonly portFallback: boolean;
  /** An address that is held is kept though no pool that admits the balancer has it any more, until somebody consents to a move. */
  readonly keepsOutside: boolean;
  /** Name of the balancer's oldest member, for messages. */
  nameHolder(key: string): string;
  /** Where in the pool the search for a free address begins. */
  startOf(pool: Pool, family: IpFamily): bigint;
}

export interface Choice {
  readonly ips: readonly Ip[];
  /** A family that was only wished for is missing because its pools are full: there may be room later. */
  readonly waits: boolean;
}

/**
 * So many addresses of a pool are looked at for one that is free; a /16 has as many. An IPv6 pool of 2^64 addresses in which more
 * than these lie in a row, all taken, counts as exhausted.
 */
const SEARCH_LIMIT = 65_536n;
/** A balancer that met strangers at so many addresses gets no other one: something answers for all of them, as proxy ARP does. */
const STRANGERS_MOST = 3;

/**
 * The addresses that a balancer shall have: those asked for by name; for each family that these leave out what it has already,
 * else the next free one of the first pool that has any.
 * @throws {Refusal} see `Allocator.assign`
 */
export function chooseAddresses(ask: Ask): Choice {
  const { balancer } = ask;
  const pools = poolsFor(ask);
  const ports = portsOf(balancer.listeners);
  const requested = chooseRequested(ask, pools, ports);
  const ips: Ip[] = [...requested];
  const missed: Refusal[] = [];
  for (const family of balancer.families) {
    if (requested.some((ip) => ip.family === family)) continue;
    const found = keepHeld(ask, family, pools, ports) ?? findFree(ask, family, pools, ports);
    if (!(found instanceof Refusal)) ips.push(found);
    else if (balancer.preferDualStack) missed.push(found);
    else throw found;
  }
  if (ips.length === 0) throw missed[0] ?? new Refusal('FamilyUnsupported', `${ownerOf(balancer)} asks for no IP family`);
  return { ips, waits: missed.some(({ code }) => code === 'PoolExhausted' || code === 'AddressDuplicate') };
}

function poolsFor({ balancer, pools }: Ask): readonly Pool[] {
  const name = balancer.address.pool;
  if (name === undefined) return pools.filter((pool) => poolAdmits(pool, balancer));
  const pool = pools.find((p) => p.name === name);
  if (!pool) throw new Refusal('PoolUnknown', `There is no pool ${JSON.stringify(name)}; there are: ${namesOf(pools)}`);
  if (poolAdmits(pool, balancer)) return [pool];
  throw new Refusal('PoolNotAllowed', `Pool ${name} does not admit ${ownerOf(balancer)} (${describeRules(pool)})`);
}

function chooseRequested(ask: Ask, pools: readonly Pool[], ports: ReadonlySet<string>): readonly Ip[] {
  const { balancer } = ask;
  const chosen: Ip[] = [];
  for (const text of balancer.address.requested) {
    const ip = parseIp(text.trim());
    if (!ip) throw new Refusal('AddressInvalid', `${JSON.stringify(text)} is not an IP address`);
    if (!balancer.families.includes(ip.family)) {
      throw new Refusal(
        'FamilyUnsupported',
        `${text} is ${ip.family}, and the Service asks for ${balancer.families.join(' and ')}`,
      );
    }
    const refusal = whyNot(ask, ip, pools, ports);
    if (refusal) throw refusal;
    if (!includesIp(chosen, ip)) chosen.push(ip);
  }
  return chosen;
}

/** Why the balancer may not have just this address, or undefined. */
function whyNot(ask: Ask, ip: Ip, pools: readonly Pool[], ports: ReadonlySet<string>): Refusal | undefined {
  const address = formatIp(ip);
  if (!pools.some((pool) => poolHolds(pool, ip))) return refuseAddress(ask, ip, address);
  const who = includesIp(ask.mine, ip) ? undefined : ask.reservedBy(address); // what is held is not lost to a later claim
  if (who !== undefined) return new Refusal('AddressReserved', `Address ${address} is in use by ${who}`);
  const clash = obstacle(ask, ip, ports);
  return clash && refuseClash(ask, address, clash);
}

/** Who stands in the way at the address, unless the clash is over a port that can be served elsewhere. */
function obstacle({ ledger, balancer, portFallback }: Ask, ip: Ip, ports: ReadonlySet<string>): Clash | undefined {
  const clash = ledger.clash(balancer.key, ip, ports);
  return portFallback && clash?.port !== undefined ? undefined : clash;
}

function refuseAddress({ balancer, pools }: Ask, ip: Ip, address: string): Refusal {
  const named = balancer.address.pool;
  const closed = pools.find((pool) => poolHolds(pool, ip));
  if (named === undefined && closed) {
    const rules = describeRules(closed);
    return new Refusal(
      'PoolNotAllowed',
      `Address ${address} is in pool ${closed.name}, which does not admit ${ownerOf(balancer)} (${rules})`,
    );
  }
  const looked = pools.filter((pool) => named === undefined || pool.name === named);
  const list = looked.map((pool) => `${pool.name} (${pool.text})`).join(', ');
  return new Refusal(
    'AddressNotInPool',
    `Address ${address} is not in ${looked.length > 1 ? 'any of the pools' : 'pool'} ${list}`,
  );
}

function refuseClash(ask: Ask, address: string, clash: Clash): Refusal {
  const what = clash.port === undefined ? `Address ${address}` : `Port ${clash.port} of address ${address}`;
  const subject = `${what} is held by ${ask.nameHolder(clash.key)}`;
  const group = shareGroupOf(ask.balancer.key);
  if (group === undefined || shareGroupOf(clash.key) !== group) return new Refusal('AddressInUse', subject);
  return new Refusal('ShareAcrossNamespaces', `${subject}, in the share group ${group} of another namespace`);
}

/** The group's name in a key such as `shop/share:edge`; undefined for a Service's own balancer. */
function shareGroupOf(key: string): string | undefined {
  return /(?:^|\/)share:(.+)$/.exec(key)?.[1];
}

/** What the balancer has in memory, else what the cluster recorded for it; undefined when none of it fits any more. */
function keepHeld(ask: Ask, family: IpFamily, pools: readonly Pool[], ports: ReadonlySet<string>): Ip | undefined {
  const recorded = ask.balancer.address.held.map((text) => parseIp(text)).filter((ip) => ip !== undefined);
  for (const ip of [...ask.mine, ...recorded]) {
    const stays = staysOutside(ask) && (includesIp(ask.mine, ip) || isPublished(ask.balancer, ip));
    if (ip.family !== family || !(stays || pools.some((pool) => poolHolds(pool, ip)))) continue;
    if (!includesIp(ask.mine, ip) && ask.reservedBy(formatIp(ip)) !== undefined) continue;
    if (ask.strangers.has(formatIp(ip)) && !isPublished(ask.balancer, ip)) continue;
    const clash = obstacle(ask, ip, ports);
    if (!clash) return ip;
    // A new port that somebody else has at this address: told, and not solved by moving a balancer that people use.
    if (includesIp(ask.mine, ip)) throw refuseClash(ask, formatIp(ip), clash);
  }
  return undefined;
}

/** Whether the Service's status shows it: an annotation alone may have been written by the Service's author. */
export function isPublished({ address }: Balancer, ip: Ip): boolean {
  const published = (address.published ?? []).map((text) => parseIp(text)).filter((one) => one !== undefined);
  return includesIp(published, ip);
}

/** Pools are somebody else's to change than the Service is: a move cuts clients, and is its author's to allow. */
export function staysOutside({ keepsOutside, balancer }: Pick<Ask, 'keepsOutside' | 'balancer'>): boolean {
  return keepsOutside && balancer.address.pool === undefined && !balancer.settings.allowDisruption;
}

function findFree(ask: Ask, family: IpFamily, pools: readonly Pool[], ports: ReadonlySet<string>): Ip | Refusal {
  const { balancer, ledger } = ask;
  const giving = balancer.address.pool === undefined ? pools.filter((pool) => pool.autoAssign) : pools;
  if (giving.length === 0) {
    return new Refusal(
      'PoolNotAllowed',
      `No pool gives addresses to ${ownerOf(balancer)} unasked; there are: ${namesOf(ask.pools)}`,
    );
  }
  const candidates = giving.filter((pool) => pool.sizes[family] > 0n);
  if (candidates.length === 0) {
    return new Refusal(
      'FamilyUnsupported',
      `No pool for ${ownerOf(balancer)} has ${family} addresses (there are: ${namesOf(giving)})`,
    );
  }
  if (ask.strangersMet >= STRANGERS_MOST) return refuseBaffled(ask, candidates);
  for (const pool of candidates) {
    const free =
      search(ask, pool, family, (ip) => !ledger.isUsed(ip)) ??
      (pool.sharePorts ? search(ask, pool, family, (ip) => !ledger.clash(balancer.key, ip, ports)) : undefined) ??
      (pool.sharePorts && ask.portFallback ? search(ask, pool, family, (ip) => !obstacle(ask, ip, ports)) : undefined);
    if (free) return free;
  }
  const full = candidates.map((pool) => `${pool.name}: ${ledger.usedIn(pool, family)} of ${pool.sizes[family]} in use`);
  const none = `No ${family} address is free for ${ownerOf(balancer)} (pool ${full.join(', ')})`;
  const strange = strangerIn(ask, candidates);
  return strange === undefined ? new Refusal('PoolExhausted', none) : new Refusal('AddressDuplicate', `${none}: ${strange}`);
}

function strangerIn({ strangers }: Ask, pools: readonly Pool[]): string | undefined {
  return [...strangers].find(([address]) => pools.some((pool) => poolHolds(pool, parseIp(address)!)))?.[1];
}

/** Each further address would cost a write, an event and a try on the segment, for as long as the pool lasts. */
function refuseBaffled(ask: Ask, pools: readonly Pool[]): Refusal {
  const who = strangerIn(ask, pools);
  const message =
    `Other machines answered for each of the last ${ask.strangersMet} addresses that ${ownerOf(ask.balancer)} was given` +
    `${who === undefined ? '' : ` (${who})`}; is there proxy ARP on the segment? Another address is tried after a while`;
  return new Refusal('AddressDuplicate', message);
}

/** Walks the pool once round from where the last search ended, so that an address rests before it is given out again. */
function search(ask: Ask, pool: Pool, family: IpFamily, accepts: (ip: Ip) => boolean): Ip | undefined {
  const size = pool.sizes[family];
  if (!pool.sharePorts && BigInt(ask.ledger.usedIn(pool, family)) >= size) return undefined;
  const start = ask.startOf(pool, family);
  const steps = size < SEARCH_LIMIT ? size : SEARCH_LIMIT;
  for (let i = 0n; i < steps; i += 1n) {
    const ip = addressAt(pool, family, (start + i) % size);
    const address = formatIp(ip);
    if (accepts(ip) && ask.reservedBy(address) === undefined && !ask.strangers.has(address)) return ip;
  }
  return undefined;
}

function describeRules(pool: Pool): string {
  const rules: string[] = [];
  if (pool.namespaces.length > 0) rules.push(`namespaces: ${pool.namespaces.join(', ')}`);
  const labels = Object.entries(pool.serviceSelector).map(([label, value]) => `${label}=${value}`);
  if (labels.length > 0) rules.push(`serviceSelector: ${labels.join(', ')}`);
  return rules.join('; ');
}

function namesOf(pools: readonly Pool[]): string {
  return pools.map((pool) => pool.name).join(', ');
}

/** Who is named to the others: the oldest member. */
export function ownerOf(balancer: Balancer): string {
  const member = balancer.members[0];
  return member ? nameOf(member) : balancer.key;
}

/** How a port is written in the ledger and for people: `80/TCP`. */
export function portName(listener: Pick<Listener, 'port' | 'protocol'>): string {
  return `${listener.port}/${listener.protocol}`;
}

export function portsOf(listeners: readonly Listener[]): ReadonlySet<string> {
  return new Set(listeners.map(portName));
}

export function includesIp(ips: readonly Ip[], ip: Ip): boolean {
  return ips.some((other) => other.family === ip.family && other.value === ip.value);
}
