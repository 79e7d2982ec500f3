import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../src/errors.ts';
import { at, list } from '../../src/kube/objects.ts';
import { readAudit } from '../e2e/lab/audit.ts';
import { until } from '../e2e/lab/until.ts';
import { AddressWatch, BenchApi, inParallel } from './api.ts';
import { type ApiAccess, type Ground, writeKubeconfig } from './ground.ts';
import { BenchNodes, NODES_WITH_SOCKETS } from './nodes.ts';
import { type LoopDelay, Product, type ProductOptions, type ProgramForm, serverCpuSeconds, type Usage } from './product.ts';

/** What the worker is to do; it runs where the API server is, in a network namespace if there is one. */
export interface Plan {
  readonly ground: Ground;
  readonly services: number;
  readonly nodes: number;
  readonly repeat: number;
  readonly quietSeconds: number;
  /** Services created one after the other. */
  readonly singles: number;
  /** One more run from dist/, which has been built. */
  readonly bundle: boolean;
  readonly profile?: string | undefined;
}

export interface Outcome {
  readonly nodes: number;
  readonly bursts: readonly Burst[];
  /** The same from dist/. */
  readonly bundle?: Burst;
  /** For each Service the time from its creation's answer to its address. */
  readonly singles: {
    readonly timesMs: readonly number[];
    readonly createMs: readonly number[];
    readonly complaints: readonly string[];
  };
  readonly nodeAdded: readonly number[];
  readonly quiet: Quiet;
}

type Processes = ReturnType<Product['usage']>;

export interface Burst {
  /** Creating as many with no controller running. */
  readonly baselineMs: number;
  /**
   * Creating as many while two status patches follow on each, by this client and with no controller: what no controller on
   * this machine could do better, since a crash must not leak and so the finalizer goes first.
   */
  readonly floorMs: number;
  /** CPU of API server and etcd meanwhile, and from the first creation to the last address. */
  readonly serverCpuSeconds: { readonly baseline: number; readonly burst: number };
  readonly createMs: number;
  /** From the first creation to the last address. */
  readonly totalMs: number;
  /** From the last creation's answer to the last address. */
  readonly tailMs: number;
  readonly deleteMs: number;
  /** API writes of the controller by verb and resource; undefined: the API server keeps no audit log. */
  readonly writes?: Readonly<Record<string, number>>;
  readonly idle: Processes;
  readonly after: Processes;
  readonly loop: LoopDelay;
  readonly complaints: readonly string[];
}

export interface Quiet {
  readonly seconds: number;
  readonly writes?: Readonly<Record<string, number>>;
  readonly cpuSeconds: { readonly controller: number; readonly forwarder: number };
  readonly usage: { readonly controller: Usage; readonly forwarder: Usage };
}

const SETTLE_MS = 120_000;
/** Until memory is measured as idle: start-up garbage has been collected or never will be. */
const IDLE_MS = 5_000;
/** Events are written after the status; when nothing was written for so long they all are. */
const WRITES_END_MS = 1_500;

class Worker {
  readonly #plan: Plan;
  readonly #api: BenchApi;
  readonly #access: ApiAccess;
  readonly #nodes: BenchNodes;
  #namespaces = 0;

  constructor(plan: Plan, api: BenchApi, access: ApiAccess, nodes: BenchNodes) {
    this.#plan = plan;
    this.#api = api;
    this.#access = access;
    this.#nodes = nodes;
  }

  async run(): Promise<Outcome> {
    const { repeat, nodes, ground } = this.#plan;
    await this.#nodes.add(ground.namespace === undefined ? Math.min(nodes, NODES_WITH_SOCKETS) : nodes);
    const count = this.#nodes.count;
    const singles = await this.#measureSingles();
    const bursts: Burst[] = [];
    const nodeAdded: number[] = [];
    let quiet: Quiet | undefined;
    for (let i = 0; i < repeat; i++) {
      const baseline = await this.#measureBaseline();
      const floorMs = await this.#measureFloor();
      const isLast = i === repeat - 1;
      bursts.push(
        await this.#measureBurst('sources', { ...baseline, floorMs }, async (product) => {
          nodeAdded.push(await this.#measureNode(product));
          if (isLast) quiet = await this.#measureQuiet(product);
        }),
      );
      tell(`run ${i + 1} of ${repeat}: last address ${Math.round(bursts[i]!.tailMs)} ms after the last creation`);
    }
    if (!quiet) throw new Error('there was no run');
    const bundle = this.#plan.bundle ? await this.#measureBundle() : undefined;
    return { nodes: count, bursts, ...(bundle ? { bundle } : {}), singles, nodeAdded, quiet };
  }

  /** Only its memory and CPU are told, so the time without a controller is not measured again. */
  async #measureBundle(): Promise<Burst> {
    tell('once more from the bundle');
    return this.#measureBurst('bundle', { ms: Number.NaN, cpuSeconds: Number.NaN, floorMs: Number.NaN }, async () => {});
  }

  async #namespace(): Promise<string> {
    const name = `bench-${++this.#namespaces}`;
    await this.#api.create('/api/v1/namespaces', { metadata: { name } });
    return name;
  }

  async #start(label: string, program: ProgramForm): Promise<Product> {
    const { profile, ground } = this.#plan;
    const options: ProductOptions = {
      kubeconfig: this.#access.kubeconfig,
      directory: ground.directory,
      program,
      profile: profile && `${profile}/${label}`,
    };
    const product = new Product(options);
    await product.ready();
    return product;
  }

  async #create(namespace: string, name: string): Promise<void> {
    const answer = await this.#api.create(`/api/v1/namespaces/${namespace}/services`, {
      metadata: { name },
      spec: { type: 'LoadBalancer', ports: [{ port: 80, targetPort: 8080 }] },
    });
    if (this.#plan.ground.namespace !== undefined) return;
    for (const port of list(at(at(JSON.parse(answer), 'spec'), 'ports'))) this.#nodes.open(Number(at(port, 'nodePort')));
  }

  async #createAll(namespace: string): Promise<{ readonly beganAt: number; readonly endedAt: number }> {
    const beganAt = performance.now();
    await inParallel(this.#plan.services, (i) => this.#create(namespace, `web-${i}`));
    return { beganAt, endedAt: performance.now() };
  }

  async #deleteAll(namespace: string, count: number, watch: AddressWatch): Promise<number> {
    const began = performance.now();
    await inParallel(count, (i) => this.#api.delete(`/api/v1/namespaces/${namespace}/services/web-${i}`));
    await watch.gone(SETTLE_MS);
    return performance.now() - began;
  }

  async #measureBaseline(): Promise<{ readonly ms: number; readonly cpuSeconds: number }> {
    const namespace = await this.#namespace();
    const watch = await AddressWatch.open(this.#api, namespace);
    const before = serverCpuSeconds();
    const { beganAt, endedAt } = await this.#createAll(namespace);
    const cpuSeconds = serverCpuSeconds() - before;
    await this.#deleteAll(namespace, this.#plan.services, watch);
    watch.close();
    return { ms: endedAt - beganAt, cpuSeconds };
  }

  async #measureFloor(): Promise<number> {
    const { services } = this.#plan;
    const namespace = await this.#namespace();
    const watch = await AddressWatch.open(this.#api, namespace);
    const beganAt = performance.now();
    let created = 0;
    const patches: Promise<void>[] = [];
    await inParallel(services, async (i) => {
      await this.#create(namespace, `web-${i}`);
      created += 1;
      patches.push(this.#patchTwice(namespace, `web-${i}`, `127.33.${created >> 8}.${created & 255}`));
    });
    await Promise.all(patches);
    const lastAt = await watch.all(services, SETTLE_MS);
    await this.#deleteAll(namespace, services, watch);
    watch.close();
    return lastAt - beganAt;
  }

  async #patchTwice(namespace: string, name: string, ip: string): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/services/${name}/status`;
    const condition = { type: 'example.com/Ready', lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z') };
    await this.#api.patch(path, {
      metadata: { annotations: { 'example.com/addresses': ip } },
      status: { conditions: [{ ...condition, status: 'False', reason: 'Provisioning', message: 'It is being made.' }] },
    });
    const ingress = [{ ip, ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] }];
    await this.#api.patch(path, {
      status: {
        loadBalancer: { ingress },
        conditions: [{ ...condition, status: 'True', reason: 'Ready', message: `Serving on ${ip}.` }],
      },
    });
  }

  async #measureBurst(
    program: ProgramForm,
    baseline: { ms: number; cpuSeconds: number; floorMs: number },
    then: (product: Product) => Promise<void>,
  ): Promise<Burst> {
    const { services } = this.#plan;
    const namespace = await this.#namespace();
    const product = await this.#start('burst', program);
    const watch = await AddressWatch.open(this.#api, namespace);
    try {
      await sleep(IDLE_MS);
      const idle = product.usage();
      await product.loopDelay();
      const since = Date.now();
      const before = serverCpuSeconds();
      const { beganAt, endedAt } = await this.#createAll(namespace);
      const lastAt = await watch.all(services, SETTLE_MS);
      const burst = serverCpuSeconds() - before;
      const loop = await product.loopDelay();
      const writes = await this.#writesSince(since);
      const after = product.usage();
      await then(product);
      const deleteMs = await this.#deleteAll(namespace, services, watch);
      const times = {
        baselineMs: baseline.ms,
        floorMs: baseline.floorMs,
        createMs: endedAt - beganAt,
        totalMs: lastAt - beganAt,
        tailMs: lastAt - endedAt,
        deleteMs,
      };
      const serverCpu = { baseline: baseline.cpuSeconds, burst };
      return {
        ...times,
        serverCpuSeconds: serverCpu,
        ...(writes ? { writes } : {}),
        idle,
        after,
        loop,
        complaints: product.complaints().slice(0, 20),
      };
    } finally {
      watch.close();
      await product.stop();
    }
  }

  async #measureSingles(): Promise<Outcome['singles']> {
    const { singles } = this.#plan;
    const namespace = await this.#namespace();
    const product = await this.#start('single', 'sources');
    const watch = await AddressWatch.open(this.#api, namespace);
    try {
      const times: number[] = [];
      const createMs: number[] = [];
      for (let i = 0; i < singles; i++) {
        const asked = performance.now();
        await this.#create(namespace, `web-${i}`);
        const began = performance.now();
        createMs.push(began - asked);
        times.push((await watch.one(`web-${i}`, SETTLE_MS)) - began);
        await sleep(20); // the event is written meanwhile: the cluster is quiet again
      }
      await this.#deleteAll(namespace, singles, watch);
      return { timesMs: times, createMs, complaints: product.complaints().slice(0, 20) };
    } finally {
      watch.close();
      await product.stop();
    }
  }

  /** @returns the time from asking for the node to every balancer having it */
  async #measureNode(product: Product): Promise<number> {
    const { services } = this.#plan;
    await until(async () => (await product.targets()).sum === services * this.#nodes.count, {
      withinMs: SETTLE_MS,
      what: 'every balancer has every node',
    });
    const began = performance.now();
    await this.#nodes.add(1);
    const wanted = services * this.#nodes.count;
    await until(async () => (await product.targets()).sum === wanted, {
      withinMs: SETTLE_MS,
      what: 'every balancer has the new node',
      everyMs: 20,
    });
    return performance.now() - began;
  }

  async #measureQuiet(product: Product): Promise<Quiet> {
    const { quietSeconds } = this.#plan;
    await this.#writesSince(Date.now()); // what the new node has caused is over
    const before = product.usage();
    const since = Date.now();
    tell(`${quietSeconds} quiet seconds`);
    await sleep(quietSeconds * 1000);
    const usage = product.usage();
    const writes = this.#countWrites(since);
    const cpuSeconds = {
      controller: usage.controller.cpuSeconds - before.controller.cpuSeconds,
      forwarder: usage.forwarder.cpuSeconds - before.forwarder.cpuSeconds,
    };
    return { seconds: quietSeconds, ...(writes ? { writes } : {}), cpuSeconds, usage };
  }

  /** Waits until no more is written. */
  async #writesSince(since: number): Promise<Readonly<Record<string, number>> | undefined> {
    for (let last = ''; ; ) {
      const writes = this.#countWrites(since);
      const text = JSON.stringify(writes);
      if (text === last) return writes;
      last = text;
      await sleep(WRITES_END_MS);
    }
  }

  #countWrites(since: number): Readonly<Record<string, number>> | undefined {
    const { audit } = this.#access;
    if (!audit) return undefined;
    const counts: Record<string, number> = {};
    for (const { verb, resource, subresource, code } of readAudit(audit.file, { user: audit.user, writes: true, since })) {
      const name = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}${code >= 300 ? ` ${code}` : ''}`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }
}

function tell(line: string): void {
  console.error(`bench: ${line}`);
}

async function runPlan(plan: Plan): Promise<Outcome> {
  const { ground } = plan;
  const access = ground.server ?? (await startSandbox(ground.directory));
  const api = new BenchApi(access);
  const nodes = await BenchNodes.start(api, ground);
  try {
    return await new Worker(plan, api, access, nodes).run();
  } finally {
    nodes.stop();
    await api.close();
  }
}

async function startSandbox(directory: string): Promise<ApiAccess> {
  const { startSandboxApi } = await import('./sandbox.ts');
  const url = await startSandboxApi();
  return { url, kubeconfig: writeKubeconfig(directory, url) };
}

try {
  const outcome = await runPlan(JSON.parse(process.argv[2] ?? '') as Plan);
  process.stdout.write(JSON.stringify(outcome), () => process.exit(0));
} catch (error) {
  tell(explain(error));
  process.exit(1);
}
