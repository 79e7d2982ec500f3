import { expect } from '@jest/globals';
import type { LoadResult, RunningLoad } from '../lab/client.ts';
import type { ServiceObject } from '../lab/product.ts';
import { until } from '../lab/until.ts';
import type { Cluster } from './cluster.ts';

/** What users of external addresses see of a cluster. */

export function readService(cluster: Cluster, namespace: string, name: string): Promise<ServiceObject> {
  return cluster.api.get<ServiceObject>(`/api/v1/namespaces/${namespace}/services/${name}`);
}

/** Waits until the Service is published. @returns its address */
export function addressOf(cluster: Cluster, namespace: string, name: string): Promise<string> {
  return until(async () => (await readService(cluster, namespace, name)).status.loadBalancer.ingress?.[0]?.ip, {
    withinMs: 90_000,
    what: `${namespace}/${name} has an external address`,
    everyMs: 250,
  });
}

export function answers(cluster: Cluster, url: string, said: RegExp, host?: string): Promise<true> {
  return until(
    async () => {
      const { status, body } = await cluster.client.request({ url, ...(host ? { headers: { host } } : {}) });
      if (status !== 200 || !said.test(body)) throw new Error(`${status} ${body}`);
      return true as const;
    },
    { withinMs: 90_000, what: `${url} says ${said}`, everyMs: 250 },
  );
}

/** Runs the work under traffic on connections of both kinds. @returns how many requests failed, and how */
export async function underLoad(cluster: Cluster, url: string, work: () => Promise<void>): Promise<readonly string[]> {
  const loads: readonly RunningLoad[] = await Promise.all([
    cluster.client.load({ url, connections: 'new', perSecond: 40, timeoutMs: 10_000 }),
    cluster.client.load({ url, connections: 'kept', perSecond: 20, timeoutMs: 10_000 }),
  ]);
  const before = Date.now();
  const worked = await work().then(
    () => undefined,
    (error: unknown) => error,
  );
  const results = await Promise.all(loads.map((load) => load.stop()));
  if (worked !== undefined) throw worked;
  expect(results.every(({ answered }) => answered > 0)).toBe(true);
  return results.flatMap(({ failures }) => failures.map((f) => `${f.message} at ${f.startedAt - before} ms`));
}

/** Milliseconds from the start of the first request that failed to the end of the last one, of the fifty that are kept; 0 without any. */
export function downtime({ failures }: LoadResult): number {
  const ends = failures.map(({ startedAt, tookMs }) => startedAt + tookMs);
  return failures.length === 0 ? 0 : Math.max(...ends) - Math.min(...failures.map(({ startedAt }) => startedAt));
}
