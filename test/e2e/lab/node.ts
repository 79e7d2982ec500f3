import { join } from 'node:path';
import type { Tools } from '../tools.ts';
import type { Api } from './api.ts';
import {
  addPodAddress,
  HUB_ADDRESS,
  makeNodeNet,
  moveNodeNet,
  type NodeNet,
  openAddresses,
  POD_RANGE,
  readSeen,
  removeNodeNet,
  type Seen,
  setLink,
  shutAddress,
} from './network.ts';
import { Process } from './process.ts';
import { until } from './until.ts';

export interface NodeOptions {
  /** Default `n1`, `n2`, … */
  readonly name?: string;
  /** Has a second address, of type ExternalIP, in a network of its own. */
  readonly external?: boolean;
  /** Addresses at which kube-proxy opens NodePorts; default the internal one. */
  readonly nodePortsOn?: 'internal' | 'external' | 'both';
  /** The address at which nothing can be reached from outside. */
  readonly shut?: 'internal' | 'external';
  /** Labels of the Node object. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** What nodes need of their lab. */
export interface Ground {
  readonly hub: string;
  readonly prefix: string;
  readonly directory: string;
  readonly tools: Tools;
  readonly api: Api;
  readonly proxyKubeconfig: string;
  readonly nodes: Map<string, LabNode>;
}

/** A node: a namespace with a link to the hub's bridge, a Node object and a real kube-proxy. */
export class LabNode {
  readonly name: string;
  readonly options: NodeOptions;
  #net: NodeNet;
  #proxy: Process | undefined;
  #podAddresses = 1;
  #connected = false;
  readonly #ground: Ground;

  constructor(ground: Ground, net: NodeNet, options: NodeOptions) {
    this.name = net.name;
    this.options = options;
    this.#ground = ground;
    this.#net = net;
  }

  get net(): NodeNet {
    return this.#net;
  }

  /** The internal address. */
  get address(): string {
    return this.#net.internal;
  }

  /** The address in the second network. @throws when the node has none */
  get external(): string {
    if (this.#net.external === undefined) throw new Error(`node ${this.name} was made without an external address`);
    return this.#net.external;
  }

  get proxy(): Process {
    if (!this.#proxy) throw new Error(`node ${this.name} has no kube-proxy yet`);
    return this.#proxy;
  }

  /** Makes its network, with routes to and from the nodes that were connected before it. */
  async connect(): Promise<void> {
    await makeNodeNet(this.#ground.hub, this.#net, this.#otherNets());
    this.#connected = true;
    if (this.options.shut) await this.shut(this.options.shut);
  }

  /** Node object, then kube-proxy, which asks the API server for its node. */
  async join(): Promise<void> {
    await this.#ground.api.create('/api/v1/nodes', {
      metadata: { name: this.name, labels: { 'kubernetes.io/hostname': this.name, ...this.options.labels } },
      spec: { podCIDR: this.#net.podRange, podCIDRs: [this.#net.podRange] },
    });
    await this.writeStatus();
    await this.startProxy();
  }

  /** The Node object's addresses and Ready condition, which a kubelet would write. */
  async writeStatus(ready: 'True' | 'False' | 'Unknown' = 'True'): Promise<void> {
    const addresses = [
      { type: 'InternalIP', address: this.address },
      ...(this.#net.external ? [{ type: 'ExternalIP', address: this.#net.external }] : []),
      { type: 'Hostname', address: this.name },
    ];
    const conditions = [
      { type: 'Ready', status: ready, reason: 'Lab', message: '', lastTransitionTime: new Date().toISOString() },
    ];
    await this.#ground.api.patch(`/api/v1/nodes/${this.name}/status`, { status: { addresses, conditions } });
  }

  async startProxy(): Promise<void> {
    const on = this.options.nodePortsOn ?? 'internal';
    const ranges = { internal: '172.31.77.0/24', external: '172.31.78.0/24', both: '172.31.77.0/24,172.31.78.0/24' };
    this.#proxy = new Process({
      name: `kube-proxy-${this.name}`,
      namespace: this.#net.namespace,
      command: this.#ground.tools.kubeProxy,
      args: [
        '--proxy-mode=nftables',
        `--kubeconfig=${this.#ground.proxyKubeconfig}`,
        `--hostname-override=${this.name}`,
        `--cluster-cidr=${POD_RANGE}`,
        `--nodeport-addresses=${on === 'internal' ? 'primary' : ranges[on]}`,
        // The sysctls behind these four cannot be written in a namespace: without 0 it gives up.
        '--conntrack-max-per-core=0',
        '--conntrack-min=0',
        '--conntrack-tcp-timeout-established=0s',
        '--conntrack-tcp-timeout-close-wait=0s',
      ],
      logFile: join(this.#ground.directory, `kube-proxy-${this.name}.log`),
    });
    await until(() => this.#proxy?.log().includes('Caches are synced'), {
      withinMs: 60_000,
      what: `kube-proxy of ${this.name} is up`,
    });
  }

  /** The machine fails: no cable, no kube-proxy. The Node object stays. */
  async down(): Promise<void> {
    await setLink(this.#ground.hub, this.#net, 'down');
    await this.proxy.kill();
  }

  async up(): Promise<void> {
    await setLink(this.#ground.hub, this.#net, 'up');
    if (!this.#proxy?.alive) await this.startProxy();
  }

  /** Nothing new gets in at the address, without an answer, as behind a firewall. */
  async shut(which: 'internal' | 'external'): Promise<void> {
    await shutAddress(this.#net, which === 'internal' ? this.address : this.external);
  }

  async open(): Promise<void> {
    await openAddresses(this.#net);
  }

  /** Another internal address, in the network and in the Node object; kube-proxy is started anew, as it demands. */
  async moveTo(address: string): Promise<void> {
    const others = this.#otherNets();
    await this.proxy.kill();
    await moveNodeNet(this.#net, address, others);
    this.#net = { ...this.#net, internal: address };
    await this.writeStatus();
    await this.startProxy();
  }

  /** Only the Node object goes, as when a machine is taken out of the cluster; everything on it still runs. */
  async deleteObject(): Promise<void> {
    await this.#ground.api.delete(`/api/v1/nodes/${this.name}`);
  }

  /** Node object, kube-proxy and network go. Its pods must have ended. */
  async remove(): Promise<void> {
    this.#ground.nodes.delete(this.name);
    if ((await this.#ground.api.find(`/api/v1/nodes/${this.name}`)) !== undefined) await this.deleteObject();
    await this.proxy.kill();
    await removeNodeNet(this.#net, this.#otherNets());
  }

  /** How often it was entered from outside by way of this NodePort: with `requests`, only connections that said something. */
  async entered(nodePort: number, what: Seen = 'requests'): Promise<number> {
    return (await readSeen(this.#net, what)).get(nodePort) ?? 0;
  }

  /** An address in the node's pod range that no pod had before. */
  async newPodAddress(): Promise<string> {
    const address = this.#net.podRange.replace(/0\/24$/, String(++this.#podAddresses));
    await addPodAddress(this.#net, address);
    return address;
  }

  #otherNets(): readonly NodeNet[] {
    return [...this.#ground.nodes.values()].filter((node) => node.name !== this.name && node.#connected).map((node) => node.net);
  }
}

/** Addresses and names of the node with this number. */
export function planNode(ground: Ground, index: number, options: NodeOptions): NodeNet {
  const network = HUB_ADDRESS.slice(0, HUB_ADDRESS.lastIndexOf('.'));
  return {
    name: options.name ?? `n${index}`,
    namespace: `${ground.prefix}n${index}`,
    index,
    internal: `${network}.${10 + index}`,
    ...(options.external ? { external: `172.31.78.${10 + index}` } : {}),
    podRange: `10.244.${index}.0/24`,
  };
}
