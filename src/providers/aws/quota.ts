import { explain } from '../../errors.ts';
import type { Log } from '../provider.ts';
import { chooseOrNot, groupName } from './current.ts';
import type { Desired } from './desired.ts';
import type { Inventory } from './inventory.ts';
import { TAG } from './names.ts';
import type { SeenBalancer, SeenGroup } from './picture.ts';
import type { Reader } from './reader.ts';
import { groupsOf } from './shares.ts';

type Kind = 'balancers' | 'groups' | 'interfaces' | 'certificates';

interface Quota {
  /** As DescribeAccountLimits names it. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Limit.html */
  readonly name: string;
  /** What an account has at first. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html */
  readonly usual: number;
  readonly what: string;
}

const QUOTAS: Readonly<Record<Kind, Quota>> = {
  balancers: { name: 'network-load-balancers', usual: 50, what: 'NLBs in the Region' },
  groups: { name: 'target-groups', usual: 3_000, what: 'target groups in the Region' },
  interfaces: { name: 'network-load-balancer-enis-per-vpc', usual: 1_200, what: 'network interfaces of NLBs in the VPC' },
  certificates: {
    name: 'certificates-per-network-load-balancer',
    usual: 25,
    what: 'certificates beside the default ones on the NLB',
  },
};
const KINDS = Object.keys(QUOTAS) as readonly Kind[];

/** From this part of a quota on the account is asked what it really has. */
const NEAR = 0.8;
const LIMITS_MS = 600_000;
/** Before somebody is refused nothing older than this counts: others may have made room, or had the quota raised. */
const FRESH_MS = 60_000;

/** What of the quotas is not ours. */
export interface Census {
  readonly balancers: number;
  readonly groups: number;
  /** By VPC. */
  readonly interfaces: ReadonlyMap<string, number>;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What a balancer still has to get; names only, so that what is there meanwhile counts no longer. */
export interface Needs {
  /** Absent: it has its NLB, or one goes for it. */
  readonly balancer?: { readonly name: string; readonly vpcId: string; readonly zones: number };
  readonly groups: readonly string[];
  /** On the NLB, the default ones apart; only where there shall be more than there are. */
  readonly certificates?: { readonly there: number; readonly wanted: number };
}

/** Pure. */
export function needsOf(
  desired: Desired,
  has: { readonly balancers: readonly SeenBalancer[]; readonly groups: readonly SeenGroup[] },
): Needs {
  const current = chooseOrNot(desired, has.balancers);
  if (!current) return { groups: [] };
  const { name, balancer, inTheWay } = current;
  const present = new Set(has.groups.map((group) => group.name));
  const isMade = balancer !== undefined || desired.adoptArn !== undefined || inTheWay.length > 0;
  return {
    ...(isMade ? {} : { balancer: { name, vpcId: desired.vpcId, zones: desired.zones.length } }),
    groups: groupsOf(desired.listeners)
      .map((group) => groupName(desired, name, group))
      .filter((one) => !present.has(one)),
    ...certificatesOf(desired, balancer),
  };
}

function certificatesOf(desired: Desired, balancer: SeenBalancer | undefined): Pick<Needs, 'certificates'> {
  const count = (list: readonly { readonly certificates: readonly string[] }[]): number =>
    list.reduce((sum, { certificates }) => sum + Math.max(0, certificates.length - 1), 0);
  if (balancer?.tags[TAG.applied] === desired.config) return {}; // all of them are there, as the tags prove
  const there = count(balancer?.listeners ?? []);
  const wanted = count(desired.listeners);
  return wanted > there ? { certificates: { there, wanted } } : {};
}

interface Use {
  readonly there: number;
  /** With what is being made. */
  readonly has: number;
}

export interface QuotaParts {
  readonly reader: Reader;
  readonly inventory: Inventory;
  readonly log: Log;
  now(): number;
  census(): Census;
  /** Counts anew. */
  count(): Promise<unknown>;
}

/**
 * Quotas of the account, told before anything is made that AWS would not let be finished. What the sweeps count anyway is held against
 * them; the account is asked for its own figures only where the usual ones come near.
 */
export class Quotas {
  readonly #parts: QuotaParts;
  /** What was let through and may not be there yet, by key; as many as there are balancers being made. */
  readonly #claims = new Map<string, Needs>();
  /** By AWS's names. Undefined: not read yet. */
  #limits: ReadonlyMap<string, number> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;
  #counting: Promise<unknown> | undefined;
  /** AWS has refused something though it seemed to have room. */
  #isDoubtful = false;

  constructor(parts: QuotaParts) {
    this.#parts = parts;
  }

  /** AWS says that a quota is used up. */
  doubt(): void {
    this.#isDoubtful = true;
  }

  release(key: string): void {
    this.#claims.delete(key);
  }

  /** @returns why it cannot be made, or undefined: what it needs is kept for it until it is there or released */
  async admit(key: string, needs: Needs): Promise<string | undefined> {
    this.#claims.delete(key);
    if (!this.#isNear(needs)) return this.#claim(key, needs);
    await this.#read(LIMITS_MS);
    if (this.#findShortage(needs) === undefined) return this.#claim(key, needs);
    await Promise.all([this.#read(FRESH_MS), this.#countAnew()]);
    return this.#findShortage(needs) ?? this.#claim(key, needs);
  }

  #claim(key: string, needs: Needs): undefined {
    if (needs.balancer || needs.groups.length > 0) this.#claims.set(key, needs);
  }

  #isNear(needs: Needs): boolean {
    if (this.#isDoubtful) return true;
    const wanted = this.#wanted(needs);
    return KINDS.some((kind) => {
      const { name, usual } = QUOTAS[kind];
      const most = this.#limits?.get(name) ?? usual;
      const end = wanted[kind]?.end ?? 0;
      return kind === 'certificates' ? end > most : end >= NEAR * most; // what the Service says alone need not come near
    });
  }

  #findShortage(needs: Needs): string | undefined {
    const wanted = this.#wanted(needs);
    for (const kind of KINDS) {
      const { name, what } = QUOTAS[kind];
      const most = this.#limits?.get(name);
      const one = wanted[kind];
      if (!one || most === undefined || one.end <= most || one.there > most) continue; // nobody has more than the quota: it is not what counts
      const more = one.end - one.has;
      return `${one.has} ${what} are there or being made, ${more} more ${more === 1 ? 'is' : 'are'} needed, and the account may have ${most} (quota ${name})`;
    }
    return undefined;
  }

  /** Of each kind that is needed, how many there are, with those that are being made, and how many there would be. */
  #wanted(needs: Needs): Readonly<Partial<Record<Kind, Use & { readonly end: number }>>> {
    const { balancer, groups, certificates } = needs;
    const from = (use: Use, more: number) => (more > 0 ? { ...use, end: use.has + more } : undefined);
    const uses = this.#usage(balancer?.vpcId);
    const found = {
      balancers: from(uses.balancers, balancer ? 1 : 0),
      groups: from(uses.groups, groups.length),
      interfaces: from(uses.interfaces, balancer?.zones ?? 0),
      certificates: certificates && { there: certificates.there, has: certificates.there, end: certificates.wanted },
    };
    return Object.fromEntries(Object.entries(found).filter(([, one]) => one !== undefined));
  }

  #usage(vpcId: string | undefined): Readonly<Record<'balancers' | 'groups' | 'interfaces', Use>> {
    const { inventory } = this.#parts;
    const census = this.#parts.census();
    const ours = [...inventory.balancers.values()];
    const names = new Set([...ours, ...inventory.groups.values()].map(({ name }) => name));
    const claims = [...this.#claims.values()];
    const making = claims.flatMap(({ balancer }) => (balancer && !names.has(balancer.name) ? balancer : []));
    const zonesOf = (list: readonly { readonly vpcId: string; readonly zones: number }[]): number =>
      list.filter((one) => one.vpcId === vpcId).reduce((sum, { zones }) => sum + zones, 0);
    const use = (there: number, more: number): Use => ({ there, has: there + more });
    const others = census.interfaces.get(vpcId ?? '') ?? 0;
    return {
      balancers: use(census.balancers + ours.length, making.length),
      groups: use(
        census.groups + inventory.groups.size,
        claims.flatMap(({ groups }) => groups.filter((one) => !names.has(one))).length,
      ),
      interfaces: use(
        others + zonesOf(ours.map(({ vpcId: id, zones }) => ({ vpcId: id, zones: zones.length }))),
        zonesOf(making),
      ),
    };
  }

  async #countAnew(): Promise<void> {
    const { census, count, now } = this.#parts;
    if (now() - census().at < FRESH_MS) return;
    this.#counting ??= count().finally(() => {
      this.#counting = undefined;
    });
    await this.#counting;
  }

  /** Where it cannot be read, AWS itself says what it does not take. */
  async #read(maxAgeMs: number): Promise<void> {
    const { now } = this.#parts;
    if (!this.#isDoubtful && now() - this.#readAt < maxAgeMs) return;
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #readNow(): Promise<void> {
    const { reader, log, now } = this.#parts;
    try {
      this.#limits = await reader.limits();
    } catch (thrown) {
      this.#limits = new Map();
      log.warn({ error: explain(thrown) }, 'the quotas of the account cannot be read: AWS will say when one is used up');
    }
    this.#readAt = now();
    this.#isDoubtful = false;
  }
}
