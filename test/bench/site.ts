import { setTimeout as sleep } from 'node:timers/promises';
import { at, list } from '../../src/kube/objects.ts';
import { readAudit } from '../e2e/lab/audit.ts';
import { type AddressWatch, type BenchApi, inParallel } from './api.ts';
import { type ApiAccess, writeKubeconfig } from './ground.ts';
import type { BenchNodes } from './nodes.ts';
import type { Plan, Writes } from './plan.ts';
import { Product, type ProgramForm } from './product.ts';
import { startSandboxApi } from './sandbox.ts';

/** Longest wait for whatever must come. */
export const SETTLE_MS = 120_000;
/** Events are written after the status; when nothing was written for so long they all are. */
const WRITES_END_MS = 1_500;

/** An API server, and what the controller has written to it so far. */
export interface Server {
  readonly access: ApiAccess;
  countWrites(): Promise<Writes>;
}

/** @param directory for the kubeconfig of a sandbox, which is started when there is no server yet */
export async function findServer(access: ApiAccess | undefined, directory: string): Promise<Server> {
  if (access?.audit) {
    const { file, user } = access.audit;
    return { access, countWrites: async () => countWrites(readAudit(file, { user, writes: true })) };
  }
  const { url, readWrites } = await startSandboxApi();
  return {
    access: { url, kubeconfig: writeKubeconfig(directory, url) },
    countWrites: async () => countWrites(await readWrites()),
  };
}

function countWrites(
  entries: readonly { readonly verb: string; readonly resource: string; readonly subresource: string; readonly code: number }[],
): Writes {
  const counts: Record<string, number> = {};
  for (const { verb, resource, subresource, code } of entries) {
    const name = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}${code >= 300 ? ` ${code}` : ''}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** What every measurement works with. */
export class Site {
  readonly plan: Plan;
  readonly api: BenchApi;
  readonly nodes: BenchNodes;
  readonly #server: Server;
  #namespaces = 0;

  constructor(plan: Plan, api: BenchApi, nodes: BenchNodes, server: Server) {
    this.plan = plan;
    this.api = api;
    this.nodes = nodes;
    this.#server = server;
  }

  async namespace(): Promise<string> {
    const name = `bench-${++this.#namespaces}`;
    await this.api.create('/api/v1/namespaces', { metadata: { name } });
    return name;
  }

  /** @param label names the directory of its CPU profile */
  async start(label: string, program: ProgramForm): Promise<Product> {
    const { profile, ground } = this.plan;
    const { kubeconfig } = this.#server.access;
    const product = new Product({
      kubeconfig,
      directory: ground.directory,
      program,
      profile: profile && `${profile}/${label}`,
    });
    await product.ready();
    return product;
  }

  /** Makes a Service whose port an unprivileged controller may serve, too. */
  async create(namespace: string, name: string): Promise<void> {
    const answer = await this.api.create(`/api/v1/namespaces/${namespace}/services`, {
      metadata: { name },
      spec: { type: 'LoadBalancer', ports: [{ port: 8080 }] },
    });
    if (this.nodes.redirected) return;
    for (const port of list(at(at(JSON.parse(answer), 'spec'), 'ports'))) this.nodes.open(Number(at(port, 'nodePort')));
  }

  /** Makes `web-0`, `web-1`, … */
  async createAll(namespace: string): Promise<{ readonly beganAt: number; readonly endedAt: number }> {
    const beganAt = performance.now();
    await inParallel(this.plan.services, (i) => this.create(namespace, `web-${i}`));
    return { beganAt, endedAt: performance.now() };
  }

  /** @returns ms until the last of them is gone */
  async deleteAll(namespace: string, count: number, watch: AddressWatch): Promise<number> {
    const began = performance.now();
    await inParallel(count, (i) => this.api.delete(`/api/v1/namespaces/${namespace}/services/web-${i}`));
    await watch.gone(SETTLE_MS);
    this.nodes.closeAll();
    return performance.now() - began;
  }

  /** Everything that the controller has written so far. */
  writes(): Promise<Writes> {
    return this.#server.countWrites();
  }

  /** Waits until no more is written. @returns what was written since `before` */
  async writesSince(before: Writes): Promise<Writes> {
    for (let last = ''; ; ) {
      const writes = subtract(await this.writes(), before);
      const text = JSON.stringify(writes);
      if (text === last) return writes;
      last = text;
      await sleep(WRITES_END_MS);
    }
  }
}

export function subtract(after: Writes, before: Writes): Writes {
  const news = Object.entries(after).map(([kind, count]) => [kind, count - (before[kind] ?? 0)] as const);
  return Object.fromEntries(news.filter(([, count]) => count > 0));
}

export function tell(line: string): void {
  console.error(`bench: ${line}`);
}
