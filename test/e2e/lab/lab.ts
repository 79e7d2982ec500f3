import { join } from 'node:path';
import { prepareTools, type Tools } from '../tools.ts';
import { Api } from './api.ts';
import { type AuditEntry, type AuditFilter, readAudit } from './audit.ts';
import { type Claim, claimLab, prefixOf, removeLab, removeLeftovers } from './claim.ts';
import { Client } from './client.ts';
import { CommandFailed, type CommandOptions, type Output, tryRun } from './command.ts';
import {
  ETCD,
  type Plane,
  preparePlane,
  startApiServer,
  startControllerManager,
  startEtcd,
  type UserName,
} from './control-plane.ts';
import { makeHub } from './network.ts';
import { type Ground, LabNode, type NodeOptions, planNode } from './node.ts';
import { Process } from './process.ts';
import { recordRequests } from './requests.ts';
import { grantRights } from './rights.ts';
import { until } from './until.ts';
import { type DeploymentOptions, LabDeployment, LabPod, type PodOptions } from './workload.ts';

export interface LabOptions {
  /** One entry a node, or how many plain ones. */
  readonly nodes: number | readonly NodeOptions[];
  /** Services and pods have IPv4 and IPv6, and so have the nodes. Default false. */
  readonly dualStack?: boolean;
}

const CHECKOUT = join(import.meta.dirname, '../../..');

/** A real control plane and nodes in network namespaces of their own, until `close`. */
export class Lab {
  readonly claim: Claim;
  readonly plane: Plane;
  /** In the hub's namespace, where users of external addresses are. */
  readonly client: Client;
  /** As admin. */
  readonly api: Api;
  readonly #ground: Ground;
  readonly #clients = new Map<string, Client>();
  #etcd: Process | undefined;
  #apiServer: Process | undefined;
  #controllers: Process | undefined;
  #made = 0;
  #started = 0;

  constructor(claim: Claim, plane: Plane) {
    this.claim = claim;
    this.plane = plane;
    this.client = new Client('client-hub', plane.hub, plane.directory);
    this.api = this.apiAs('admin');
    this.#ground = {
      hub: plane.hub,
      prefix: prefixOf(claim),
      directory: plane.directory,
      tools: plane.tools,
      api: this.api,
      proxyKubeconfig: plane.users.proxy.kubeconfig,
      nodes: new Map(),
    };
  }

  async start(nodes: readonly NodeOptions[]): Promise<void> {
    this.#etcd = startEtcd(this.plane);
    await this.startApiServer();
    this.#controllers = startControllerManager(this.plane);
    await Promise.all([grantRights(this.api, this.plane), this.#addNodes(nodes)]);
    await until(() => this.api.get('/api/v1/namespaces/default'), { withinMs: 30_000, what: 'the default namespace is there' });
  }

  /** Networks one after the other, since each is routed to those before it; the rest side by side. */
  async #addNodes(nodes: readonly NodeOptions[]): Promise<void> {
    const made = nodes.map((options) => this.#newNode(options));
    for (const node of made) await node.connect();
    await Promise.all(made.map((node) => node.join()));
  }

  #newNode(options: NodeOptions): LabNode {
    const node = new LabNode(this.#ground, planNode(this.#ground, ++this.#made, options), options);
    this.#ground.nodes.set(node.name, node);
    return node;
  }

  get nodes(): readonly LabNode[] {
    return [...this.#ground.nodes.values()];
  }

  /** @throws when there is no node of that name */
  node(name: string): LabNode {
    const node = this.#ground.nodes.get(name);
    if (!node) throw new Error(`the lab has no node ${name}, but ${[...this.#ground.nodes.keys()].join(', ')}`);
    return node;
  }

  async addNode(options: NodeOptions = {}): Promise<LabNode> {
    const node = this.#newNode(options);
    await node.connect();
    await node.join();
    return node;
  }

  apiAs(user: UserName): Api {
    return new Api(this.client, this.plane, this.plane.users[user]);
  }

  /** A client in a node's namespace. */
  clientOn(node: LabNode): Client {
    const known = this.#clients.get(node.name);
    if (known?.process.alive) return known;
    const client = new Client(`client-${node.name}`, node.net.namespace, this.plane.directory);
    this.#clients.set(node.name, client);
    return client;
  }

  /** The real kubectl, in the hub, as admin. @throws {CommandFailed} unless it ends with 0 */
  async kubectl(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const output = await this.tryKubectl(args, options);
    if (output.code !== 0) throw new CommandFailed('kubectl', args, output);
    return output.stdout;
  }

  tryKubectl(args: readonly string[], options: CommandOptions = {}): Promise<Output> {
    const { tools, hub, users, directory } = this.plane;
    const all = [`--net=/run/netns/${hub}`, tools.kubectl, `--kubeconfig=${users.admin.kubeconfig}`, ...args];
    return tryRun('nsenter', all, { ...options, env: { ...process.env, HOME: directory, ...options.env } });
  }

  /** `kubectl apply -f -` with the manifest as it stands. */
  async apply(manifest: string, args: readonly string[] = []): Promise<string> {
    return this.kubectl(['apply', '-f', '-', ...args], { input: manifest });
  }

  /** A namespace of the test's own. */
  async namespace(name: string): Promise<string> {
    await this.api.create('/api/v1/namespaces', { metadata: { name } });
    return name;
  }

  async pod(options: PodOptions): Promise<LabPod> {
    return LabPod.start(this.api, this.plane.directory, options);
  }

  async deployment(options: DeploymentOptions): Promise<LabDeployment> {
    const deployment = new LabDeployment(options, (pod) => this.pod(pod));
    await deployment.start();
    return deployment;
  }

  audit(filter: AuditFilter): readonly AuditEntry[] {
    return readAudit(this.plane.auditLog, filter);
  }

  /** What the product has asked of the API server to change. */
  productWrites(filter: AuditFilter = {}): readonly AuditEntry[] {
    return this.audit({ ...filter, user: this.plane.users.product.user, writes: true });
  }

  /** Dies at once, as in a power failure; etcd has everything. */
  async stopApiServer(): Promise<void> {
    await this.#apiServer?.kill();
  }

  /**
   * Same address, same certificate, same data. The controller manager begins anew: after some outages it would wait for half a
   * minute before it asks again.
   */
  async restartApiServer(): Promise<void> {
    await this.#controllers?.kill();
    await this.startApiServer();
    this.#controllers = startControllerManager(this.plane);
  }

  async startApiServer(): Promise<void> {
    const server = startApiServer(this.plane);
    this.#apiServer = server;
    await until(
      () => {
        if (!server.alive || !this.#etcd?.alive) throw new Error(`${server.tail(5)}\n${this.#etcd?.tail(5)}`);
        return this.api.get('/readyz');
      },
      { withinMs: 90_000, what: 'the API server is ready', everyMs: 100 },
    );
  }

  /** Forgets every revision but the present one, so that older resource versions answer 410. */
  async compactEtcd(): Promise<void> {
    const ask = async <T>(path: string, body: object): Promise<T> => {
      const answer = await this.client.request({ url: `${ETCD}${path}`, method: 'POST', body: JSON.stringify(body) });
      if (answer.status !== 200) throw new Error(`etcd ${path}: ${answer.status} ${answer.body}`);
      return JSON.parse(answer.body) as T;
    };
    const { header } = await ask<{ header: { revision: string } }>('/v3/kv/range', { key: Buffer.from('x').toString('base64') });
    await ask('/v3/kv/compaction', { revision: header.revision, physical: true });
  }

  /** A program of the checkout in the hub, as its own process, run by the same Node. Ends with the lab at the latest. */
  program(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, rights: 'root' | 'nobody' = 'root'): Process {
    return new Process({
      name,
      namespace: this.plane.hub,
      command: process.execPath,
      args: [join(CHECKOUT, 'src/bin.js'), ...args],
      env: { ...process.env, KUBECONFIG: '', ...env },
      unprivileged: rights === 'nobody',
      logFile: join(this.plane.directory, `${name}-${++this.#started}.log`),
    });
  }

  /** Stops everything and removes it. Safe to repeat. */
  async close(): Promise<void> {
    recordRequests(this.claim.id, this.plane.auditLog);
    await removeLab(this.claim);
  }

  /** Ends of the logs of the control plane and the nodes, for the message of a failure. */
  tails(): string {
    const proxies = this.nodes.map((node) => node.proxy);
    const all = [this.#etcd, this.#apiServer, this.#controllers, ...proxies].filter((p) => p !== undefined);
    return all.map((process) => `--- ${process.name}\n${process.tail(8)}`).join('\n');
  }
}

/**
 * Brings up etcd, kube-apiserver, kube-controller-manager and the nodes, everything in namespaces of this lab; what dead
 * runs left is removed first. Takes about five seconds once the tools are built.
 */
export async function startLab(options: LabOptions): Promise<Lab> {
  const tools: Tools = await prepareTools((line) => console.error(`e2e: ${line}`));
  await removeLeftovers();
  const claim = claimLab();
  try {
    const hub = `${prefixOf(claim)}hub`;
    await makeHub(hub, options);
    const lab = new Lab(claim, preparePlane(claim.directory, hub, tools, options.dualStack));
    const nodes = typeof options.nodes === 'number' ? Array.from({ length: options.nodes }, () => ({})) : options.nodes;
    await lab.start(options.dualStack ? nodes.map((node) => ({ ...node, dualStack: true })) : nodes);
    return lab;
  } catch (error) {
    await removeLab(claim);
    throw error;
  }
}
