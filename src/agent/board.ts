import type { KubeApi } from '../kube/api.ts';
import { readLease, type Sighting, sight } from '../kube/lease.ts';
import { at, type ObjectMeta, readMeta, text } from '../kube/objects.ts';
import { type Watched, watchObjects } from '../kube/watch.ts';
import type { AgentBoard, AgentNotice, Log } from '../providers/provider.ts';
import { AGENT_LABEL, agentObject, ordersName } from './names.ts';
import { LEASE_MS } from './presence.ts';
import { Published } from './published.ts';

export interface BoardOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly group: string;
  readonly log: Log;
  /** Monotonic milliseconds. */
  now?(): number;
}

/** How often Leases are looked at for one that has run out. */
const LOOK_MS = 1_000;

interface ReportObject extends ObjectMeta {
  readonly content: string;
}

interface LeaseObject extends ObjectMeta {
  readonly record: ReturnType<typeof readLease>;
}

/** The controller's side of the agents' objects: what each reports, which of them live, and the orders for all. */
export function openBoard(options: BoardOptions): AgentBoard {
  return new Board(options);
}

class Board implements AgentBoard {
  readonly #options: BoardOptions;
  readonly #now: () => number;
  readonly #orders: Published;
  readonly #sightings = new Map<string, Sighting>();
  readonly #alive = new Map<string, boolean>();
  #reports: Watched<ReportObject> | undefined;
  #leases: Watched<LeaseObject> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #tell: (notice: AgentNotice) => void = () => {};

  constructor(options: BoardOptions) {
    const { api, namespace, group, log } = options;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#orders = new Published({ api, namespace, name: ordersName(group), metadata: () => ({}), key: 'orders', log });
  }

  async open(changed: (notice: AgentNotice) => void): Promise<void> {
    const { api, namespace, group, log } = this.#options;
    const common = { api, namespaces: [namespace], select: { labelSelector: `${AGENT_LABEL}=${group}` }, log };
    this.#leases = watchObjects<LeaseObject>({
      ...common,
      list: 'listLeases',
      watch: 'watchLeases',
      read: (raw) => {
        const meta = readMeta(raw);
        return meta && { ...meta, record: readLease(raw) };
      },
      changed: (before, after) => this.#see((after ?? before)!.name, after?.record),
    });
    this.#reports = watchObjects<ReportObject>({
      ...common,
      list: 'listConfigMaps',
      watch: 'watchConfigMaps',
      read: (raw) => {
        const meta = readMeta(raw);
        return meta && { ...meta, content: text(at(at(raw, 'data'), 'report')) };
      },
      changed: (before, after) => this.#pass((after ?? before)!.name),
    });
    await Promise.all([this.#leases.synced, this.#reports.synced]);
    this.#tell = changed;
    for (const { name } of this.#reports.all()) this.#pass(name);
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  order(render: () => string): void {
    this.#orders.put(render);
  }

  async close(): Promise<void> {
    this.#tell = () => {};
    clearInterval(this.#timer);
    await Promise.all([this.#leases?.stop(), this.#reports?.stop(), this.#orders.stop()]);
  }

  #see(name: string, record: LeaseObject['record'] | undefined): void {
    if (record) this.#sightings.set(name, sight(this.#sightings.get(name), record, this.#now()));
    else this.#sightings.delete(name);
    this.#judge(name);
  }

  #look(): void {
    for (const name of new Set([...this.#sightings.keys(), ...this.#alive.keys()])) this.#judge(name);
  }

  #judge(name: string): void {
    const alive = this.#lives(name);
    if ((this.#alive.get(name) ?? false) === alive) return;
    if (alive) this.#alive.set(name, true);
    else this.#alive.delete(name);
    this.#pass(name);
  }

  /** While the API server is away nobody can renew anything: whoever lived then lives until a Lease's time after its return. */
  #lives(name: string): boolean {
    const sighting = this.#sightings.get(name);
    if (!sighting || sighting.record.holder === '') return false;
    const watch = this.#leases?.healthy();
    if (!watch?.connected) return this.#alive.get(name) ?? true;
    const leaseMs = sighting.record.leaseMs || LEASE_MS;
    return Math.min(this.#now() - sighting.seenAtMs, watch.sinceMs) < leaseMs;
  }

  #pass(name: string): void {
    const { namespace, group } = this.#options;
    const object = this.#reports?.get(`${namespace}/${name}`);
    const isOurs = name.startsWith(agentObject(group, ''));
    if (!isOurs) return;
    this.#tell({
      name: name.slice(agentObject(group, '').length),
      alive: object !== undefined && this.#lives(name),
      report: object?.content ?? '',
    });
  }
}
