import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../e2e/lab/until.ts';
import { AddressWatch } from './api.ts';
import type { Quiet, Singles } from './plan.ts';
import type { Product } from './product.ts';
import { SETTLE_MS, type Site, subtract, tell } from './site.ts';

/** Until the event of the Service before is written, so that the cluster is quiet again. */
const PAUSE_MS = 20;

/** Services one after the other on a quiet cluster. */
export async function measureSingles(site: Site): Promise<Singles> {
  const { singles } = site.plan;
  const namespace = await site.namespace();
  const product = await site.start('singles', 'sources');
  const watch = await AddressWatch.open(site.api, namespace);
  try {
    const timesMs: number[] = [];
    const createMs: number[] = [];
    for (let i = 0; i < singles; i++) {
      const askedAt = performance.now();
      await site.create(namespace, `web-${i}`);
      const answeredAt = performance.now();
      createMs.push(answeredAt - askedAt);
      timesMs.push((await watch.one(`web-${i}`, SETTLE_MS)) - answeredAt);
      await sleep(PAUSE_MS);
    }
    await site.deleteAll(namespace, singles, watch);
    return { timesMs, createMs, complaints: product.complaints().slice(0, 20) };
  } finally {
    watch.close();
    await product.stop();
  }
}

/** One node more. @returns ms from asking for it to every balancer having it */
export async function measureNode({ plan, nodes }: Site, product: Product): Promise<number> {
  const everywhere = async (everyMs: number): Promise<unknown> => {
    const wanted = plan.services * nodes.count;
    const reached = async (): Promise<boolean> => (await product.targets()).sum === wanted;
    return until(reached, { withinMs: SETTLE_MS, what: `the balancers have ${wanted} targets`, everyMs });
  };
  await everywhere(200);
  const askedAt = performance.now();
  await nodes.add(1);
  await everywhere(20);
  return performance.now() - askedAt;
}

/** Nothing happens. */
export async function measureQuiet(site: Site, product: Product): Promise<Quiet> {
  const { quietSeconds } = site.plan;
  await site.writesSince(await site.writes()); // what happened before is over
  const [before, written] = [product.usage(), await site.writes()];
  tell(`${quietSeconds} quiet seconds`);
  await sleep(quietSeconds * 1000);
  const usage = product.usage();
  const writes = subtract(await site.writes(), written);
  const spent = (of: 'controller' | 'forwarder'): number => usage[of].cpuSeconds - before[of].cpuSeconds;
  return { seconds: quietSeconds, writes, cpuSeconds: { controller: spent('controller'), forwarder: spent('forwarder') }, usage };
}
