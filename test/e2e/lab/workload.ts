import { join } from 'node:path';
import type { Api } from './api.ts';
import type { LabNode } from './node.ts';
import { Process } from './process.ts';
import { until } from './until.ts';

export interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly node: LabNode;
  readonly ports: readonly PodPort[];
  /** How long it goes on serving after it was told to end, milliseconds; default 5,000. */
  readonly graceMs?: number;
}

export interface PodPort {
  readonly name?: string;
  readonly port: number;
}

/** A Pod object whose status this class writes, as a kubelet would, and a real HTTP server at its address. */
export class LabPod {
  readonly options: PodOptions;
  readonly addresses: readonly string[];
  readonly process: Process;
  readonly #api: Api;

  private constructor(api: Api, options: PodOptions, addresses: readonly string[], process: Process) {
    this.#api = api;
    this.options = options;
    this.addresses = addresses;
    this.process = process;
  }

  /** The server listens and the Pod is Ready when this resolves; slices and kube-proxy follow. */
  static async start(api: Api, directory: string, options: PodOptions): Promise<LabPod> {
    const addresses = await options.node.newPodAddresses();
    const { name, node, ports, graceMs = 5_000 } = options;
    await api.create(`/api/v1/namespaces/${options.namespace}/pods`, podObject(options));
    const said = { pod: name, node: node.name, addresses, ports: ports.map((p) => p.port), graceMs };
    const server = new Process({
      name: `pod-${name}`,
      namespace: node.net.namespace,
      command: process.execPath,
      args: [join(import.meta.dirname, 'pod.ts'), JSON.stringify(said)],
      logFile: join(directory, `pod-${options.namespace}-${name}.log`),
    });
    await server.logged(/listening/, 20_000);
    const pod = new LabPod(api, options, addresses, server);
    await pod.setReady('True');
    return pod;
  }

  get name(): string {
    return this.options.name;
  }

  /** The first, of IPv4. */
  get address(): string {
    return this.addresses[0]!;
  }

  /** What its readiness probe would have said. */
  async setReady(status: 'True' | 'False'): Promise<void> {
    const now = new Date().toISOString();
    const conditions = ['Ready', 'ContainersReady', 'PodScheduled', 'Initialized'].map((type) => ({
      type,
      status: type === 'Ready' || type === 'ContainersReady' ? status : 'True',
      lastTransitionTime: now,
    }));
    await this.#api.patch(`${this.#path}/status`, {
      status: {
        phase: 'Running',
        conditions,
        hostIP: this.options.node.address,
        podIP: this.address,
        podIPs: this.addresses.map((ip) => ({ ip })),
        startTime: now,
      },
    });
  }

  /** As a kubelet ends a pod: told at once (the endpoint is terminating, still serving), gone when the process has ended. */
  async end(): Promise<void> {
    const graceMs = this.options.graceMs ?? 5_000;
    await this.#api.delete(this.#path, { gracePeriodSeconds: Math.ceil(graceMs / 1_000) + 30 });
    await this.process.stop(graceMs + 20_000);
    await this.#api.delete(this.#path, { gracePeriodSeconds: 0 });
  }

  /** The server dies; the Pod object goes with it. */
  async crash(): Promise<void> {
    await this.process.kill();
    await this.#api.delete(this.#path, { gracePeriodSeconds: 0 });
  }

  get #path(): string {
    return `/api/v1/namespaces/${this.options.namespace}/pods/${this.name}`;
  }
}

function podObject({ name, labels, node, ports, graceMs = 5_000 }: PodOptions): object {
  const containerPorts = ports.map((p) => ({ containerPort: p.port, ...(p.name ? { name: p.name } : {}) }));
  return {
    metadata: { name, labels },
    spec: {
      nodeName: node.name,
      terminationGracePeriodSeconds: Math.ceil(graceMs / 1_000) + 30,
      containers: [{ name: 'app', image: 'lab/pod', ports: containerPorts }],
    },
  };
}

export type DeploymentOptions = Omit<PodOptions, 'node'> & {
  /** One pod on each, in this order; a node may stand there more than once. */
  readonly nodes: readonly LabNode[];
};

/** Pods of one kind, as a Deployment with `maxSurge: 1, maxUnavailable: 0` keeps them. */
export class LabDeployment {
  readonly options: DeploymentOptions;
  readonly #start: (options: PodOptions) => Promise<LabPod>;
  #pods: readonly LabPod[] = [];
  #made = 0;

  constructor(options: DeploymentOptions, start: (options: PodOptions) => Promise<LabPod>) {
    this.options = options;
    this.#start = start;
  }

  get pods(): readonly LabPod[] {
    return this.#pods;
  }

  async start(): Promise<void> {
    this.#pods = await Promise.all(this.options.nodes.map((node) => this.add(node)));
  }

  /** One more pod; `start` has not to be called for it. */
  async add(node: LabNode): Promise<LabPod> {
    const pod = await this.#start({ ...this.options, node, name: `${this.options.name}-${++this.#made}` });
    this.#pods = [...this.#pods, pod];
    return pod;
  }

  /** Each pod in turn: a new one becomes ready, on the node that `placeOf` says, and then the old one ends. */
  async replaceOneByOne(placeOf: (old: LabPod) => LabNode = (old) => old.options.node): Promise<void> {
    for (const old of this.#pods) {
      await this.add(placeOf(old));
      await old.end();
      this.#pods = this.#pods.filter((pod) => pod !== old);
    }
  }

  async end(): Promise<void> {
    const pods = this.#pods;
    this.#pods = [];
    await Promise.all(pods.map((pod) => pod.crash()));
  }
}

/** Waits until the Service's slices say that just these pods serve. */
export async function sliced(
  api: Api,
  service: { readonly namespace: string; readonly name: string },
  pods: readonly LabPod[],
  families: 'IPv4' | 'both' = 'IPv4',
): Promise<void> {
  const wanted = pods.flatMap((pod) => (families === 'both' ? pod.addresses : [pod.address])).sort();
  const path = `/apis/discovery.k8s.io/v1/namespaces/${service.namespace}/endpointslices?labelSelector=kubernetes.io/service-name=${service.name}`;
  await until(
    async () => {
      const { items } = await api.get<{ items: { endpoints?: { addresses: string[]; conditions: { ready?: boolean } }[] }[] }>(
        path,
      );
      const ready = items.flatMap((slice) => slice.endpoints ?? []).filter((endpoint) => endpoint.conditions.ready === true);
      const found = ready.flatMap((endpoint) => endpoint.addresses).sort();
      if (found.join() !== wanted.join()) throw new Error(`ready are ${found.join(', ') || 'none'}`);
      return true;
    },
    { withinMs: 20_000, what: `the slices of ${service.namespace}/${service.name} have ${wanted.join(', ') || 'nothing'}` },
  );
}
