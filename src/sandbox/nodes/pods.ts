import { setTimeout as sleep } from 'node:timers/promises';
import { at, list, text } from '../../kube/objects.ts';
import { type ApiClient, ApiFailure } from './api.ts';
import type { Backends } from './backends.ts';
import type { Followed } from './follow.ts';

/** A node as a place for pods. */
export interface PodPlace {
  readonly name: string;
  /** InternalIP. */
  readonly address: string;
  /** `10.244.N.0/24` without its last number: `10.244.N`. */
  readonly podPrefix: string;
  /** The Node object's spec.providerID; `sandbox://NAME` when not given. */
  readonly providerId?: string;
}

/**
 * A pod whose object is going away answers for this long: endpoints, kube-proxy and the balancer's connections need a moment
 * to forget it, and real applications wait likewise on SIGTERM.
 */
const LAME_DUCK_MS = 250;
/** The low addresses of a range are the node's own in every network plugin. */
const FIRST_HOST = 4;
const LAST_HOST = 254;

/** What the scheduler, the kubelets and the pod garbage collector do, for all nodes at once. */
export class PodRunner {
  readonly #api: ApiClient;
  readonly #pods: Followed;
  readonly #backends: Backends;
  /** Nodes that take pods, in the order of their names. */
  #places: readonly PodPlace[] = [];
  #nextPlace = 0;
  readonly #lastHost = new Map<string, number>();
  /** Address of each pod that runs, by UID. */
  readonly #running = new Map<string, string>();
  /** Work under way, by UID: one thing at a time for each pod. */
  readonly #busy = new Map<string, Promise<void>>();
  #stopped = false;

  constructor(options: { api: ApiClient; pods: Followed; backends: Backends }) {
    this.#api = options.api;
    this.#pods = options.pods;
    this.#backends = options.backends;
  }

  /** Pods on a node that is no longer among these are deleted. */
  runOn(places: readonly PodPlace[]): void {
    this.#places = places;
    this.look();
  }

  /** Looks at every pod; called with each change of one. */
  look(): void {
    if (this.#stopped || this.#places.length === 0) return;
    const seen = new Set<string>();
    for (const pod of this.#pods.objects.values()) {
      const uid = text(at(at(pod, 'metadata'), 'uid'));
      seen.add(uid);
      if (!this.#busy.has(uid)) this.#start(uid, pod);
    }
    for (const uid of this.#running.keys()) {
      if (!seen.has(uid) && !this.#busy.has(uid)) this.#do(uid, () => this.#end(uid));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#busy.values());
  }

  #start(uid: string, pod: unknown): void {
    const nodeName = text(at(at(pod, 'spec'), 'nodeName'));
    const place = this.#places.find((p) => p.name === nodeName);
    const deleting = at(at(pod, 'metadata'), 'deletionTimestamp') !== undefined;
    if (nodeName === '') {
      if (deleting) this.#do(uid, () => this.#api.remove(pathOf(pod), 0));
      else this.#do(uid, () => this.#assign(pod));
    } else if (deleting) this.#do(uid, () => this.#finish(uid, pod));
    else if (!place) this.#do(uid, () => this.#api.remove(pathOf(pod)));
    else if (!this.#running.has(uid)) this.#do(uid, () => this.#run(uid, pod, place));
  }

  #do(uid: string, work: () => Promise<void>): void {
    const done = work()
      .catch(async (error: unknown) => {
        // Gone or changed meanwhile: the next event tells. Anything else: the API server is away for a moment.
        if (!(error instanceof ApiFailure) && !this.#stopped) await sleep(200);
      })
      .finally(() => {
        this.#busy.delete(uid);
        this.look();
      });
    this.#busy.set(uid, done);
  }

  async #assign(pod: unknown): Promise<void> {
    const place = this.#places[this.#nextPlace++ % this.#places.length]!;
    await this.#api.patch(pathOf(pod), { spec: { nodeName: place.name } });
    await this.#untilChanged(pod);
  }

  async #run(uid: string, pod: unknown, place: PodPlace): Promise<void> {
    const address = this.#takeAddress(place);
    this.#running.set(uid, address);
    const name = text(at(at(pod, 'metadata'), 'name'));
    await this.#backends.open(address, { name, node: place.name, ports: portsOf(pod) });
    await this.#api.patch(`${pathOf(pod)}/status`, { status: runningStatus(pod, place.address, address) });
  }

  async #finish(uid: string, pod: unknown): Promise<void> {
    await sleep(LAME_DUCK_MS);
    await this.#api.remove(pathOf(pod), 0);
    await this.#end(uid); // where it was the last one, endpoints send to it until its object is gone
    await this.#untilChanged(pod);
  }

  async #end(uid: string): Promise<void> {
    await sleep(LAME_DUCK_MS);
    const address = this.#running.get(uid);
    this.#running.delete(uid);
    if (address !== undefined) await this.#backends.close(address);
  }

  /** A write of ours must be seen before the pod is looked at again, or it would be repeated. Bounded by a second. */
  async #untilChanged(pod: unknown): Promise<void> {
    const key = `${text(at(at(pod, 'metadata'), 'namespace'))}/${text(at(at(pod, 'metadata'), 'name'))}`;
    for (let waited = 0; waited < 1_000 && this.#pods.objects.get(key) === pod; waited += 5) await sleep(5);
  }

  #takeAddress(place: PodPlace): string {
    const taken = new Set(this.#running.values());
    let host = this.#lastHost.get(place.name) ?? FIRST_HOST - 1;
    for (let tried = FIRST_HOST; tried <= LAST_HOST; tried++) {
      host = host >= LAST_HOST ? FIRST_HOST : host + 1;
      if (!taken.has(`${place.podPrefix}.${host}`)) break;
    }
    this.#lastHost.set(place.name, host);
    return `${place.podPrefix}.${host}`;
  }
}

export function pathOf(pod: unknown): string {
  const meta = at(pod, 'metadata');
  return `/api/v1/namespaces/${text(at(meta, 'namespace'))}/pods/${text(at(meta, 'name'))}`;
}

function portsOf(pod: unknown): readonly number[] {
  return list(at(at(pod, 'spec'), 'containers'))
    .flatMap((container) => list(at(container, 'ports')))
    .map((port) => at(port, 'containerPort'))
    .filter((port): port is number => typeof port === 'number');
}

function runningStatus(pod: unknown, hostIP: string, podIP: string): object {
  const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const types = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
  const containers = list(at(at(pod, 'spec'), 'containers'));
  return {
    phase: 'Running',
    hostIP,
    hostIPs: [{ ip: hostIP }],
    podIP,
    podIPs: [{ ip: podIP }],
    startTime: now,
    conditions: types.map((type) => ({ type, status: 'True', lastTransitionTime: now })),
    containerStatuses: containers.map((container) => ({
      name: text(at(container, 'name')),
      image: text(at(container, 'image')),
      imageID: '',
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: now } },
    })),
  };
}
