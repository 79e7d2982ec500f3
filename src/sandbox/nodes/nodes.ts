import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { at, readService, type Service } from '../../kube/objects.ts';
import { findNodeAddresses } from './addresses.ts';
import { ApiClient, ApiFailure, type ApiServer } from './api.ts';
import { Backends } from './backends.ts';
import { planEntrances, readSlice, type Slice, type Slices, usableEndpoints } from './entrances.ts';
import { type Followed, follow } from './follow.ts';
import { Member, type SandboxNode } from './member.ts';
import { NodeNetwork } from './node.ts';
import { PodRunner } from './pods.ts';
import { nodeObject } from './register.ts';
import { Workloads } from './workloads.ts';

/** Every pod address of the sandbox begins with this; node N has 10.244.N.0/24. */
const POD_NETWORK = '10.244';
const MAX_NODES = 20;

export interface NodesOptions {
  readonly api: ApiServer;
  /** 1 to 20; three when not given. */
  readonly count?: number;
  /** Loopback addresses, one for each node; found by trying when not given. */
  readonly addresses?: readonly string[];
  /** spec.providerID of the node with this number, from 1. */
  readonly providerId?: (number: number) => string;
}

export interface SandboxNodes {
  /** Those that have not left, ordered by name. */
  readonly nodes: readonly SandboxNode[];
  /** Brings a node that has left back, with the address that it had. @throws when none of that name has left */
  join(name: string): Promise<void>;
  /** Connects from within the cluster: to a cluster IP, or to a pod's address. @throws when nobody answers there */
  connect(address: string, port: number): Promise<Socket>;
  stop(): Promise<void>;
}

/**
 * Starts nodes that serve a Kubernetes API: kubelet, scheduler, kube-proxy's NodePorts and the controllers for Deployments and
 * ReplicaSets, cut down to what a Service needs. Pods are HTTP servers that answer `You've hit NAME`. TCP and IPv4 only.
 * Resolves when the Node objects are registered and the present Services are served.
 */
export async function startNodes(options: NodesOptions): Promise<SandboxNodes> {
  const count = options.addresses?.length ?? options.count ?? 3;
  if (count < 1 || count > MAX_NODES) throw new RangeError(`a sandbox has 1 to ${MAX_NODES} nodes, not ${count}`);
  const addresses = options.addresses ?? (await findNodeAddresses(count)).nodes;
  const running = new Nodes(new ApiClient(options.api), addresses, options.providerId);
  await running.start();
  return running;
}

class Nodes implements SandboxNodes {
  readonly #api: ApiClient;
  readonly #addresses: readonly string[];
  readonly #providerId: NodesOptions['providerId'];
  readonly #backends = new Backends((address) => address.startsWith(`${POD_NETWORK}.`));
  #members: readonly Member[];
  /** Out of the cluster, and not yet off. */
  readonly #leaving = new Set<Member>();
  readonly #services: Followed;
  readonly #slices: Followed;
  readonly #workloadObjects: readonly Followed[];
  readonly #pods: PodRunner;
  readonly #workloads: Workloads;
  readonly #readService = remember(readService);
  readonly #readSlice = remember(readSlice);
  #planned = false;
  #turn = 0;

  constructor(api: ApiClient, addresses: readonly string[], providerId: NodesOptions['providerId']) {
    this.#api = api;
    this.#addresses = addresses;
    this.#providerId = providerId;
    this.#members = addresses.map((address, i) => this.#member(i + 1, address));
    const lookAtPods = () => {
      this.#pods.look();
      this.#workloads.look();
    };
    const pods = follow(api, '/api/v1/pods', lookAtPods);
    const deployments = follow(api, '/apis/apps/v1/deployments', () => this.#workloads.look());
    const sets = follow(api, '/apis/apps/v1/replicasets', () => this.#workloads.look());
    this.#services = follow(api, '/api/v1/services', () => this.#planSoon());
    this.#slices = follow(api, '/apis/discovery.k8s.io/v1/endpointslices', () => this.#planSoon());
    this.#workloadObjects = [pods, deployments, sets];
    this.#pods = new PodRunner({ api, pods, backends: this.#backends });
    this.#workloads = new Workloads({ api, deployments, sets, pods });
  }

  get nodes(): readonly SandboxNode[] {
    return this.#members;
  }

  async start(): Promise<void> {
    await Promise.all(this.#members.map((m) => this.#register(m)));
    await Promise.all([...this.#workloadObjects, this.#services, this.#slices].map((f) => f.synced));
    this.#pods.runOn(this.#members.map((m) => m.place));
    await this.#plan();
  }

  async connect(address: string, port: number): Promise<Socket> {
    const service = this.#allServices().find((s) => s.clusterIPs.includes(address));
    if (!service) return this.#backends.connect(address, port, 'cluster');
    const name = service.ports.find((p) => p.port === port && p.protocol === 'TCP')?.name;
    const endpoints = name === undefined ? [] : usableEndpoints(service, name, this.#allSlices());
    const endpoint = endpoints[this.#turn++ % endpoints.length];
    if (!endpoint) throw new Error(`connection to ${address}:${port} refused: no ready endpoints`);
    return this.#backends.connect(endpoint.address, endpoint.port, 'cluster');
  }

  async join(name: string): Promise<void> {
    const number = Number(/^worker-(\d+)$/.exec(name)?.[1]);
    const address = this.#addresses[number - 1];
    if (address === undefined || this.#members.some((m) => m.name === name)) throw new Error(`no node ${name} has left`);
    const member = this.#member(number, address);
    await this.#register(member);
    this.#members = [...this.#members, member].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
    this.#pods.runOn(this.#members.map((m) => m.place));
    await this.#plan();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#workloadObjects, this.#services, this.#slices].map((f) => f.close()));
    await Promise.all([
      this.#pods.stop(),
      this.#workloads.stop(),
      ...[...this.#members, ...this.#leaving].map((m) => m.network.stop()),
    ]);
    await this.#backends.stop();
    this.#api.close();
  }

  #member(number: number, address: string): Member {
    const name = `worker-${number}`;
    const dial = (endpoint: { address: string; port: number }) => this.#backends.connect(endpoint.address, endpoint.port, name);
    const network: NodeNetwork = new NodeNetwork({ name, address, dial, portMapChanged: () => void this.#publish(network) });
    const providerId = this.#providerId?.(number);
    const place = { name, address, podPrefix: `${POD_NETWORK}.${number}`, ...(providerId === undefined ? {} : { providerId }) };
    return new Member(network, place, (leaving, limitMs, quietMs) => this.#remove(leaving, limitMs, quietMs));
  }

  async #register({ place }: Member): Promise<void> {
    const object = nodeObject(place);
    await this.#api.create('/api/v1/nodes', object);
    await this.#api.patch(`/api/v1/nodes/${place.name}/status`, { status: object.status });
  }

  /** Tried five times; a Node object that somebody has deleted is left so. */
  async #publish(network: NodeNetwork): Promise<void> {
    for (let attempt = 1; attempt <= 5; attempt++) {
      const annotations = { 'nodeport-lb.io/node-port-map': network.portMap || null };
      try {
        await this.#api.patch(`/api/v1/nodes/${network.name}`, { metadata: { annotations } });
        return;
      } catch (error) {
        if (error instanceof ApiFailure) return;
        await sleep(100 * attempt);
      }
    }
  }

  async #remove(member: Member, limitMs: number, quietMs?: number): Promise<void> {
    this.#leaving.add(member);
    this.#members = this.#members.filter((m) => m !== member);
    await this.#api.remove(`/api/v1/nodes/${member.name}`);
    this.#pods.runOn(this.#members.map((m) => m.place));
    await member.network.retire(limitMs, quietMs);
    this.#leaving.delete(member);
  }

  /** A burst of events is one plan. */
  #planSoon(): void {
    if (this.#planned) return;
    this.#planned = true;
    setImmediate(() => void this.#plan());
  }

  async #plan(): Promise<void> {
    this.#planned = false;
    const services = this.#allServices();
    const slices = this.#allSlices();
    const serving = [...this.#members, ...this.#leaving];
    await Promise.all(serving.map(({ network }) => network.serve(planEntrances(network.name, services, slices))));
  }

  #allServices(): readonly Service[] {
    return [...this.#services.objects.values()].flatMap((raw) => this.#readService(raw) ?? []);
  }

  #allSlices(): Slices {
    const byService = new Map<string, Slice[]>();
    for (const raw of this.#slices.objects.values()) {
      const slice = this.#readSlice(raw);
      if (!slice || at(raw, 'addressType') !== 'IPv4') continue;
      const known = byService.get(slice.service);
      if (known) known.push(slice);
      else byService.set(slice.service, [slice]);
    }
    return byService;
  }
}

/** The same object is read once: watches hand out the same JSON until it changes. */
function remember<T>(read: (raw: unknown) => T): (raw: unknown) => T {
  const known = new WeakMap<object, T>();
  return (raw) => {
    const key = raw as object;
    if (!known.has(key)) known.set(key, read(raw));
    return known.get(key) as T;
  };
}
