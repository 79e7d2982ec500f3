import type { NodeTarget } from '../../model.ts';
import { instanceIdOf } from './instances.ts';
import type { Inventory } from './inventory.ts';
import type { Facts, SeenInstance, SeenSubnet } from './picture.ts';
import type { Reader } from './reader.ts';
import { needsRoutes } from './subnets.ts';

/** How old subnets may be; and how soon an instance that was not usable, or an answer that refused somebody, is looked at again. */
const SUBNETS_MS = 600_000;
const LOOK_AGAIN_MS = 30_000;
const USABLE = ['running'];

/** Finds out about what others made: instances, their VPC and groups, subnets. Read once, shared by all balancers. */
export class Surveyor {
  readonly #reader: Reader;
  readonly #inventory: Inventory;
  readonly #clusterName: string;
  readonly #now: () => number;
  #vpcId: string | undefined;
  #subnets: { readonly list: readonly SeenSubnet[]; readonly at: number } | undefined;
  readonly #instances = new Map<string, SeenInstance>();
  /** When EC2 was asked for an instance last, by id. */
  readonly #askedAt = new Map<string, number>();
  #named: Record<string, string> = {};
  readonly #namesAskedAt = new Map<string, number>();
  /** Groups of nodes that shall admit the NLBs. */
  #nodeGroups: readonly string[] = [];
  /** One survey at a time: many balancers that ask at once share its calls. */
  #under: Promise<void> = Promise.resolve();

  constructor(parts: {
    readonly reader: Reader;
    readonly inventory: Inventory;
    readonly clusterName: string;
    readonly vpcId?: string;
    now(): number;
  }) {
    this.#reader = parts.reader;
    this.#inventory = parts.inventory;
    this.#clusterName = parts.clusterName;
    this.#now = parts.now;
    this.#vpcId = parts.vpcId;
  }

  get nodeGroups(): readonly string[] {
    return this.#nodeGroups;
  }

  /** What is known now; undefined while the VPC or its subnets are not. */
  facts(): Facts | undefined {
    if (this.#vpcId === undefined || !this.#subnets) return undefined;
    const accountId = this.#instances.values().next().value?.accountId;
    return {
      vpcId: this.#vpcId,
      ...(accountId === undefined ? {} : { accountId }),
      subnets: this.#subnets.list,
      instances: Object.fromEntries(this.#instances),
      named: this.#named,
    };
  }

  /** Whether these nodes and names can be judged without asking. */
  knows(nodes: readonly NodeTarget[], names: readonly string[]): boolean {
    return this.facts() !== undefined && this.#unknownInstances(nodes).length === 0 && this.#unknownNames(names).length === 0;
  }

  /** Learns what is missing about these nodes and security groups. */
  survey(nodes: readonly NodeTarget[], names: readonly string[]): Promise<void> {
    const next = this.#under.catch(() => {}).then(() => this.#survey(nodes, names));
    this.#under = next;
    return next;
  }

  /** Somebody was refused by what is known: it is read anew before the next look, though not more often than every 30 s. */
  doubt(): void {
    if (this.#subnets && this.#subnets.at < this.#now() - LOOK_AGAIN_MS) this.#subnets = { ...this.#subnets, at: 0 };
  }

  async #survey(nodes: readonly NodeTarget[], names: readonly string[]): Promise<void> {
    const ids = this.#unknownInstances(nodes);
    if (ids.length > 0) await this.#readInstances(ids);
    this.#vpcId ??= [...this.#instances.values()].sort((a, b) => (a.id < b.id ? -1 : 1))[0]?.vpcId;
    const vpcId = this.#vpcId;
    if (vpcId === undefined) return;
    if (!this.#subnets || this.#subnets.at < this.#now() - SUBNETS_MS) {
      const list = await this.#reader.subnets(vpcId, (seen) => needsRoutes(seen, this.#clusterName));
      this.#subnets = { list, at: this.#now() };
    }
    const unknown = this.#unknownNames(names);
    if (unknown.length > 0) await this.#readNames(unknown, vpcId);
    if (ids.length > 0) await this.#chooseNodeGroups(vpcId);
  }

  #unknownInstances(nodes: readonly NodeTarget[]): readonly string[] {
    const stale = this.#now() - LOOK_AGAIN_MS;
    return nodes.flatMap((node) => {
      const id = instanceIdOf(node);
      if (id === undefined) return [];
      const isUsable = USABLE.includes(this.#instances.get(id)?.state ?? '');
      return isUsable || (this.#askedAt.get(id) ?? 0) > stale ? [] : [id];
    });
  }

  async #readInstances(ids: readonly string[]): Promise<void> {
    const found = await this.#reader.instances(ids);
    for (const id of ids) {
      this.#askedAt.set(id, this.#now());
      this.#instances.delete(id);
    }
    for (const instance of found) this.#instances.set(instance.id, instance);
  }

  #unknownNames(names: readonly string[]): readonly string[] {
    const stale = this.#now() - LOOK_AGAIN_MS;
    return names.filter((name) => this.#named[name] === undefined && (this.#namesAskedAt.get(name) ?? 0) <= stale);
  }

  async #readNames(names: readonly string[], vpcId: string): Promise<void> {
    const ids = names.filter((name) => name.startsWith('sg-'));
    const allocations = names.filter((name) => name.startsWith('eipalloc-'));
    const plain = names.filter((name) => !ids.includes(name) && !allocations.includes(name));
    const inVpc = { 'vpc-id': [vpcId] };
    const [byName, byId, addresses] = await Promise.all([
      plain.length > 0 ? this.#reader.securityGroups({ ...inVpc, 'tag:Name': plain }) : [],
      ids.length > 0 ? this.#reader.securityGroups({ ...inVpc, 'group-id': ids }) : [],
      allocations.length > 0 ? this.#reader.allocations(allocations) : [],
    ]);
    for (const name of names) this.#namesAskedAt.set(name, this.#now());
    const found = [
      ...byName.map((group) => [group.tags['Name'] ?? '', group.id] as const),
      ...[...byId.map(({ id }) => id), ...addresses].map((id) => [id, id] as const),
    ];
    this.#named = { ...this.#named, ...Object.fromEntries(found) };
  }

  /** Of an instance with several groups the one that is tagged for the cluster, else the first. */
  async #chooseNodeGroups(vpcId: string): Promise<void> {
    const instances = [...this.#instances.values()].filter((one) => one.vpcId === vpcId);
    const several = instances.some(({ securityGroups }) => securityGroups.length > 1);
    const tag = `kubernetes.io/cluster/${this.#clusterName}`;
    const tagged = several
      ? (await this.#reader.securityGroups({ 'vpc-id': [vpcId], 'tag-key': [tag] })).map(({ id }) => id)
      : [];
    const chosen = instances.flatMap(
      ({ securityGroups }) => securityGroups.find((id) => tagged.includes(id)) ?? securityGroups[0] ?? [],
    );
    this.#nodeGroups = [...new Set(chosen)].sort();
    for (const id of this.#nodeGroups) {
      if (this.#inventory.nodeGroups.has(id)) continue;
      // Rules of ours were read with the inventory; a group that it does not hold has none.
      this.#inventory.nodeGroups.set(id, { id, name: id, vpcId, tags: {}, rules: [] });
    }
  }
}
