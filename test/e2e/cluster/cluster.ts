import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Api } from '../lab/api.ts';
import { type Claim, claimLab, prefixOf, removeLab, removeLeftovers } from '../lab/claim.ts';
import { Client } from '../lab/client.ts';
import { CommandFailed, type CommandOptions, type Output, run, tryRun } from '../lab/command.ts';
import { startEtcd } from '../lab/control-plane.ts';
import { HUB_ADDRESS, makeHub, makeNodeNet, type NodeNet, POD_RANGE } from '../lab/network.ts';
import { Process } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { makeNodeGroup, removeGroups } from './cgroups.ts';
import { buildImages, type Image } from './images.ts';
import { type Parts, prepareParts } from './parts.ts';
import { type ClusterPlane, prepareClusterPlane, startRealApiServer, startRealControllers } from './plane.ts';

const say = (line: string) => process.stderr.write(`cluster: ${line}\n`);

/**
 * A whole Kubernetes in namespaces of its own: etcd and the control plane in a hub, nodes with containerd, runc, CNI, kubelet and
 * kube-proxy, each with its own network, processes and mounts. Users of external addresses are in the hub.
 */
export class Cluster {
  readonly claim: Claim;
  readonly plane: ClusterPlane;
  readonly client: Client;
  readonly api: Api;
  readonly nets: readonly NodeNet[];
  readonly images: readonly Image[];

  constructor(claim: Claim, plane: ClusterPlane, nets: readonly NodeNet[], images: readonly Image[]) {
    this.claim = claim;
    this.plane = plane;
    this.nets = nets;
    this.images = images;
    this.client = new Client('client-hub', plane.hub, plane.directory);
    this.api = new Api(this.client, plane, plane.users.admin);
  }

  async start(): Promise<void> {
    const etcd = startEtcd(this.plane);
    const server = startRealApiServer(this.plane);
    await until(
      () => {
        if (!server.alive || !etcd.alive) throw new Error(`${server.tail(5)}\n${etcd.tail(5)}`);
        return this.api.get('/readyz');
      },
      { withinMs: 120_000, what: 'the API server is ready', everyMs: 100 },
    );
    startRealControllers(this.plane);
    await this.api.create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'lab:kube-proxy' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:node-proxier' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: this.plane.users.proxy.user }],
    });
    for (const [index, net] of this.nets.entries()) await makeNodeNet(this.plane.hub, net, this.nets.slice(0, index));
    await Promise.all(this.nets.map((net) => this.#importImages(net, this.#startNode(net))));
    await this.kubectl(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=120s'], { timeoutMs: 130_000 });
    await until(() => this.api.find('/api/v1/namespaces/default/serviceaccounts/default'), {
      withinMs: 60_000,
      what: 'pods may be made in default',
    });
  }

  #homeOf(net: NodeNet): string {
    return join(this.plane.directory, net.name);
  }

  #socketOf(net: NodeNet): string {
    return join(this.#homeOf(net), 'containerd.sock');
  }

  #startNode(net: NodeNet): Process {
    const { parts, kubeconfigs, users, directory } = this.plane;
    const env = {
      PATH: [...parts.path, process.env['PATH']].join(':'),
      NODE: net.name,
      ADDRESS: net.internal,
      HOME_DIR: this.#homeOf(net),
      CGROUP: makeNodeGroup(this.claim.id, net.name),
      POD_RANGE: net.podRange,
      CLUSTER_RANGE: POD_RANGE,
      KUBECONFIG_NODE: kubeconfigs[net.name],
      KUBECONFIG_PROXY: users.proxy.kubeconfig,
      CNI_BIN: parts.cni,
      KUBELET: parts.kubelet,
      KUBE_PROXY: parts.kubeProxy,
    };
    return new Process({
      name: net.name,
      namespace: net.namespace,
      command: 'unshare',
      args: [
        ...['--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child', '--propagation', 'private'],
        ...['sh', join(import.meta.dirname, 'node.sh')],
      ],
      env,
      logFile: join(directory, `${net.name}.log`),
    });
  }

  async #importImages(net: NodeNet, node: Process): Promise<void> {
    await until(
      () => {
        if (!node.alive) throw new Error(`the node has ended: ${node.tail(5)}`);
        return existsSync(this.#socketOf(net));
      },
      { withinMs: 60_000, what: `containerd of ${net.name} listens` },
    );
    for (const image of this.images) await this.#ctr(net, ['images', 'import', image.archive]);
  }

  /** `ctr` finds files and the socket by their paths, which are the same for it and for containerd. */
  async #ctr(net: NodeNet, args: readonly string[]): Promise<void> {
    const ctr = join(this.plane.parts.path[0] ?? '', 'ctr');
    await run(ctr, ['--address', this.#socketOf(net), '--namespace', 'k8s.io', ...args], { timeoutMs: 300_000 });
  }

  /** The real kubectl, in the hub, as admin. @throws {CommandFailed} unless it ends with 0 */
  async kubectl(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const output = await this.tryKubectl(args, options);
    if (output.code !== 0) throw new CommandFailed('kubectl', args, output);
    return output.stdout;
  }

  tryKubectl(args: readonly string[], options: CommandOptions = {}): Promise<Output> {
    return this.inHub(this.plane.parts.kubectl, [`--kubeconfig=${this.plane.users.admin.kubeconfig}`, ...args], options);
  }

  /** A command in the hub's network. */
  inHub(command: string, args: readonly string[], options: CommandOptions = {}): Promise<Output> {
    const env = { ...process.env, HOME: this.plane.directory, ...options.env };
    return tryRun('nsenter', [`--net=/run/netns/${this.plane.hub}`, command, ...args], { ...options, env });
  }

  /** Waits until every pod of a Deployment or DaemonSet is of its newest kind, and ready. @throws after three minutes */
  async rolledOut(namespace: string, what: string): Promise<void> {
    await this.kubectl(['-n', namespace, 'rollout', 'status', what, '--timeout=180s'], { timeoutMs: 200_000 });
  }

  /** Gives a node one more address. */
  async addAddress(node: string, address: string): Promise<void> {
    const net = this.nets.find(({ name }) => name === node);
    if (!net) throw new Error(`there is no node ${node}`);
    await run('ip', ['-n', net.namespace, 'address', 'add', `${address}/32`, 'dev', 'eth0']);
  }

  /** Every address on a link of the node, pods' bridges included. */
  async addresses(net: NodeNet): Promise<readonly string[]> {
    const { stdout } = await run('ip', ['-n', net.namespace, '-o', 'addr', 'show']);
    return [...stdout.matchAll(/ inet6? ([0-9a-f.:]+)/g)].map(([, address]) => address ?? '');
  }

  /** SIGKILL to a container's first process, with which every other one in it ends. */
  async killContainer(net: NodeNet, id: string): Promise<void> {
    await this.#ctr(net, ['tasks', 'kill', '--signal', 'SIGKILL', id]);
  }

  async close(): Promise<void> {
    await closeCluster(this.claim);
  }
}

async function closeCluster(claim: Claim): Promise<void> {
  await removeLab(claim);
  removeGroups((id) => id !== claim.id);
}

/** Takes about half a minute once everything is built. @param nodes how many @param before tree of a release whose image is wanted, too */
export async function startCluster(nodes: number, before?: string): Promise<Cluster> {
  const parts: Parts = await prepareParts(say);
  await removeLeftovers();
  const claim = claimLab();
  try {
    await removeDeadGroups(claim);
    const images = await buildImages(parts, { directory: claim.directory, ...(before ? { before } : {}) }, say);
    const hub = `${prefixOf(claim)}hub`;
    await makeHub(hub);
    const nets = Array.from({ length: nodes }, (_, i) => planNet(claim, i + 1));
    const plane = prepareClusterPlane(
      claim.directory,
      hub,
      parts,
      nets.map(({ name }) => name),
    );
    const cluster = new Cluster(claim, plane, nets, images);
    await cluster.start();
    return cluster;
  } catch (error) {
    await closeCluster(claim);
    throw error;
  }
}

/** Groups of clusters whose network namespaces are gone: their owners died. */
async function removeDeadGroups(own: Claim): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'list']);
  removeGroups((id) => id === own.id || stdout.includes(`nplb-${id}-`));
}

function planNet(claim: Claim, index: number): NodeNet {
  return {
    name: `n${index}`,
    namespace: `${prefixOf(claim)}n${index}`,
    index,
    internal: HUB_ADDRESS.replace(/\d+$/, String(10 + index)),
    podRange: `10.244.${index}.0/24`,
  };
}
