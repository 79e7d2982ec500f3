import type { KubeApi } from '../kube/api.ts';
import { type EndpointSlice, nodesServing, PROXIED_SLICES, readEndpointSlice, type ServedPort } from '../kube/endpoint-slices.ts';
import { keyOf } from '../kube/replica.ts';
import { type Watched, watchObjects } from '../kube/watch.ts';
import type { Log } from '../providers/provider.ts';

/** Where endpoints of Services are, of those that were asked for. */
export interface Endpoints {
  /**
   * Names of the nodes that can serve the port under policy Local. The first question begins the watch.
   * @param service `namespace/name`
   * @returns undefined: not known; any node may. So it is until the API server has been heard, while it is not to be heard (15 s), where
   * the right to watch EndpointSlices is missing, and of a Service that has none
   */
  nodesAt(service: string, port: ServedPort): readonly string[] | undefined;
  /** Begins the watch. Resolves when the slices are known, or after `beginMs`. */
  begin(): Promise<void>;
  /** Nobody needs to know of the Service any more, until it is asked for again. */
  forget(service: string): void;
  stop(): Promise<void>;
}

export interface EndpointsOptions {
  readonly api: KubeApi;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  /** Of these that were asked for the answers may be others now. */
  changed(services: readonly string[]): void;
  readonly log: Log;
  /** How long changes are gathered; default 100 ms. */
  readonly gatherMs?: number;
  /** How long a start waits for the slices; default 2 s. */
  readonly beginMs?: number;
  /** For how long what was heard last counts when the watch breaks; default 15 s. */
  readonly apartMs?: number;
}

/** A rollout changes a Service's slices many times; and clients are to be led away from a pod that goes at once. */
const GATHER_MS = 100;
/** A watch that the server has ended, or that a rolling API server has cut, stands again in seconds; after that, pods may have moved unheard. */
export const APART_MS = 15_000;
/** A right that is missing comes with an upgrade of the chart, and many agents may ask. */
const DENIED_MS = 30_000;
/** A start waits no longer for the slices than this: without them it goes as well. */
const BEGIN_MS = 2_000;
/** Names that are kept once; a cluster has 5,000 nodes at most. @see https://kubernetes.io/docs/setup/best-practices/cluster-large/ */
const NAMES = 20_000;

/** Watches EndpointSlices from the first question on. */
export function followEndpoints(options: EndpointsOptions): Endpoints {
  return new Following(options);
}

class Following implements Endpoints {
  readonly #options: EndpointsOptions;
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();
  readonly #asked = new Set<string>();
  readonly #due = new Set<string>();
  readonly #names = new Map<string, string>();
  #watched: Watched<EndpointSlice> | undefined;
  /** On the monotonic clock, milliseconds. */
  #listedAtMs: number | undefined;
  #isCurrent = false;
  #isSaid = false;
  #gathering: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: EndpointsOptions) {
    this.#options = options;
  }

  nodesAt(service: string, port: ServedPort): readonly string[] | undefined {
    this.#asked.add(service);
    this.#start();
    return this.#isCurrent ? nodesServing(this.#slices.get(service)?.values() ?? [], port) : undefined;
  }

  async begin(): Promise<void> {
    const { synced } = this.#start() ?? {};
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, this.#options.beginMs ?? BEGIN_MS);
    await Promise.race([synced?.catch(() => {}), late.promise]);
    clearTimeout(timer);
  }

  forget(service: string): void {
    this.#asked.delete(service);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#gathering);
    clearInterval(this.#looking);
    await this.#watched?.stop();
  }

  #start(): Watched<EndpointSlice> | undefined {
    if (this.#watched || this.#stopped) return this.#watched;
    const { api, namespaces, log, apartMs = APART_MS } = this.#options;
    this.#watched = watchObjects<EndpointSlice>({
      api,
      list: 'listEndpointSlices',
      watch: 'watchEndpointSlices',
      namespaces,
      select: { labelSelector: PROXIED_SLICES },
      read: (raw) => readEndpointSlice(raw, (name) => this.#intern(name)),
      changed: (before, after) => this.#changed(before, after),
      log,
      deniedMs: DENIED_MS,
      repeatLogMs: Number.POSITIVE_INFINITY,
    });
    this.#looking = setInterval(() => this.#look(), apartMs / 3);
    this.#looking.unref();
    void this.#watched.synced
      .then(() => {
        this.#listedAtMs = performance.now();
        this.#look();
      })
      .catch(() => {}); // stopped before
    return this.#watched;
  }

  /** Whether what is known counts: it does not while the API server, or the right to ask it, has been missing for too long. */
  #look(): void {
    if (this.#stopped || !this.#watched) return;
    const { log, apartMs = APART_MS } = this.#options;
    const { connected, sinceMs } = this.#watched.healthy();
    const heardMs = Math.min(sinceMs, performance.now() - (this.#listedAtMs ?? 0)); // a list that took its time is as new as a watch
    const isApart = !connected && heardMs >= apartMs;
    const isCurrent = this.#listedAtMs !== undefined && !isApart;
    if (isApart && !this.#isSaid) {
      this.#isSaid = true;
      log.warn({}, `EndpointSlices are not to be heard: ${ALL_NODES}`);
    } else if (isCurrent && this.#isSaid) {
      this.#isSaid = false;
      log.info({}, 'EndpointSlices are heard again: under policy Local only nodes with an endpoint are targets');
    }
    if (isCurrent === this.#isCurrent) return;
    this.#isCurrent = isCurrent;
    for (const service of this.#asked) this.#due.add(service);
    this.#tell();
  }

  #changed(before: EndpointSlice | undefined, after: EndpointSlice | undefined): void {
    if (before) this.#enter(before, false);
    if (after) this.#enter(after, true);
    if (!this.#isCurrent || (before && after && isSame(before, after))) return;
    for (const slice of [before, after]) {
      const service = slice && nameService(slice);
      if (service !== undefined && this.#asked.has(service)) this.#due.add(service);
    }
    if (this.#due.size > 0) this.#gathering ??= setTimeout(() => this.#tell(), this.#options.gatherMs ?? GATHER_MS);
  }

  #tell(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    const due = [...this.#due].filter((service) => this.#asked.has(service));
    this.#due.clear();
    if (due.length > 0 && !this.#stopped) this.#options.changed(due);
  }

  #enter(slice: EndpointSlice, isThere: boolean): void {
    const service = nameService(slice);
    const ofService = this.#slices.get(service) ?? new Map<string, EndpointSlice>();
    if (isThere) ofService.set(keyOf(slice), slice);
    else ofService.delete(keyOf(slice));
    if (ofService.size > 0) this.#slices.set(service, ofService);
    else this.#slices.delete(service);
  }

  #intern(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (this.#names.size >= NAMES) this.#names.clear();
    this.#names.set(name, name);
    return name;
  }
}

const ALL_NODES =
  'every node is a target of Services under policy Local meanwhile, and its healthCheckNodePort decides; where the right is missing, the chart of this release grants it (list, watch endpointslices in discovery.k8s.io)';

function nameService({ namespace, service }: EndpointSlice): string {
  return keyOf({ namespace, name: service });
}

function isSame(a: EndpointSlice, b: EndpointSlice): boolean {
  const text = ({ service, ports, nodes }: EndpointSlice) => JSON.stringify([service, ports, [...nodes].sort()]);
  return text(a) === text(b);
}
