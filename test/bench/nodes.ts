import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type BenchApi, inParallel } from './api.ts';
import { type Ground, KUBE_PROXY_HEALTH_PORT, redirectNodePorts } from './ground.ts';

/** Addresses of the nodes, one each: 127.0.200.1 to 127.0.200.254. */
const RANGE = '127.0.200.0/24';
const addressOf = (index: number): string => `127.0.200.${index + 1}`;

/** A socket for each node and NodePort is all that there is outside a network namespace; more would meet ulimits. */
export const NODES_WITH_SOCKETS = 10;

/** Nodes that answer on their NodePorts. */
export class BenchNodes {
  readonly #api: BenchApi;
  readonly #child: ChildProcess;
  /** One socket answers for every NodePort; otherwise each must be opened. */
  readonly redirected: boolean;
  readonly #opened = new Set<number>([KUBE_PROXY_HEALTH_PORT]);
  #count = 0;

  private constructor(api: BenchApi, child: ChildProcess, redirected: boolean) {
    this.#api = api;
    this.#child = child;
    this.redirected = redirected;
  }

  static async start(api: BenchApi, ground: Ground): Promise<BenchNodes> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'answerer.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout! });
    const port = await new Promise<number>((resolve) => lines.once('line', (line) => resolve(Number(line))));
    if (ground.namespace !== undefined) await redirectNodePorts(RANGE, port);
    return new BenchNodes(api, child, ground.namespace !== undefined);
  }

  get count(): number {
    return this.#count;
  }

  async add(count: number): Promise<void> {
    const first = this.#count;
    this.#count += count;
    for (const port of this.#opened) for (let i = first; i < this.#count; i++) this.#listen(i, port);
    await inParallel(count, (i) => this.#api.create('/api/v1/nodes', describeNode(first + i)));
  }

  /** Opens the NodePort on every node. */
  open(nodePort: number): void {
    this.#opened.add(nodePort);
    for (let i = 0; i < this.#count; i++) this.#listen(i, nodePort);
  }

  /** Closes every NodePort. */
  closeAll(): void {
    if (this.redirected) return;
    this.#child.stdin?.write('close\n');
    this.#opened.clear();
    this.open(KUBE_PROXY_HEALTH_PORT);
  }

  stop(): void {
    this.#child.stdin?.end();
  }

  #listen(index: number, port: number): void {
    if (this.redirected) return;
    this.#child.stdin?.write(`${addressOf(index)} ${port}\n`);
  }
}

function describeNode(index: number): object {
  const name = `node-${String(index + 1).padStart(3, '0')}`;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
    spec: { podCIDR: `10.244.${index}.0/24` },
    status: {
      addresses: [
        { type: 'InternalIP', address: addressOf(index) },
        { type: 'Hostname', address: name },
      ],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'ready' }],
    },
  };
}
