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
  POD_RANGE6,
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
  /** Default `nftables`. */
  readonly proxyMode?: 'nftables' | 'iptables';
  /** Has addresses of both families; for a lab that has both. */
  readonly dualStack?: boolean;
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

  /** The internal IPv6 address. @throws when the node has none */
  get address6(): string {
    if (this.#net.internal6 === undefined) throw new Error(`node ${this.name} was made without an IPv6 address`);
    return this.#net.internal6;
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
      spec: { podCIDR: this.#net.podRange, podCIDRs: [this.#net.podRange, ...present(this.#net.podRange6)] },
    });
    await this.writeStatus();
    await this.startProxy();
  }

  /** The Node object's addresses and Ready condition, which a kubelet would write. */
  async writeStatus(ready: 'True' | 'False' | 'Unknown' = 'True'): Promise<void> {
    const addresses = [
      ...[this.address, ...present(this.#net.internal6)].map((address) => ({ type: 'InternalIP', address })),
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
        `--proxy-mode=${this.options.proxyMode ?? 'nftables'}`,
        '--iptables-localhost-nodeports=false', // its sysctl, too, cannot be written
        `--kubeconfig=${this.#ground.proxyKubeconfig}`,
        `--hostname-override=${this.name}`,
        `--cluster-cidr=${[POD_RANGE, ...(this.#net.internal6 ? [POD_RANGE6] : [])].join()}`,
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
  async entered(nodePort: number, what: Seen = 'requests', family: 'ip' | 'ip6' = 'ip'): Promise<number> {
    return (await readSeen(this.#net, what, family)).get(nodePort) ?? 0;
  }

  /** An address in each of the node's pod ranges that no pod had before. */
  async newPodAddresses(): Promise<readonly string[]> {
    const number = String(++this.#podAddresses);
    const { podRange, podRange6 } = this.#net;
    const addresses = [podRange.replace(/0\/24$/, number), ...present(podRange6?.replace(/\/64$/, number))];
    for (const address of addresses) await addPodAddress(this.#net, address);
    return addresses;
  }

  #otherNets(): readonly NodeNet[] {
    return [...this.#ground.nodes.values()].filter((node) => node.name !== this.name && node.#connected).map((node) => node.net);
  }
}

function present(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
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
    ...(options.dualStack ? { internal6: `fd00:77::${10 + index}`, podRange6: `fd00:244:${index}::/64` } : {}),
  };
}
