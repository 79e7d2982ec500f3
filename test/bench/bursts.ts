import { setTimeout as sleep } from 'node:timers/promises';
import { AddressWatch, inParallel } from './api.ts';
import type { Bare, Burst } from './plan.ts';
import { type Product, type ProgramForm, serverCpuSeconds } from './product.ts';
import { SETTLE_MS, type Site } from './site.ts';

/** All Services at once, with no controller. */
export async function measureBare(site: Site): Promise<Bare> {
  const namespace = await site.namespace();
  const watch = await AddressWatch.open(site.api, namespace);
  const before = serverCpuSeconds();
  const { beganAt, endedAt } = await site.createAll(namespace);
  const spent = serverCpuSeconds() - before;
  await site.deleteAll(namespace, site.plan.services, watch);
  watch.close();
  const measured = { baselineMs: endedAt - beganAt, serverCpuSeconds: spent };
  return { ...measured, floorMs: await measureFloor(site, patchOnce), twoPatchesMs: await measureFloor(site, patchTwice) };
}

async function measureFloor(site: Site, patch: typeof patchOnce): Promise<number> {
  const { services } = site.plan;
  const namespace = await site.namespace();
  const watch = await AddressWatch.open(site.api, namespace);
  const beganAt = performance.now();
  const patches: Promise<void>[] = [];
  await inParallel(services, async (i) => {
    await site.create(namespace, `web-${i}`);
    patches.push(patch(site, `/api/v1/namespaces/${namespace}/services/web-${i}/status`, `127.33.${i >> 8}.${i & 255}`));
  });
  await Promise.all(patches);
  const lastAt = await watch.all(services, SETTLE_MS);
  await site.deleteAll(namespace, services, watch);
  watch.close();
  return lastAt - beganAt;
}

/** What is said before a provider makes what outlives the controller, and what is said once it serves; as long as the controller's own. */
function sayings(ip: string): { readonly marks: object; readonly provisioning: object; readonly served: object } {
  const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const condition = { type: 'example.com/Ready', lastTransitionTime };
  const ingress = [{ ip, ipMode: 'Proxy', ports: [{ port: 8080, protocol: 'TCP' }] }];
  const ready = { ...condition, status: 'True', reason: 'Ready', message: `Serving on ${ip}.` };
  return {
    marks: { annotations: { 'example.com/held-by': 'bench/bench', 'example.com/held-addresses': ip } },
    provisioning: { conditions: [{ ...condition, status: 'False', reason: 'Provisioning', message: 'It is being made.' }] },
    served: { loadBalancer: { ingress }, conditions: [ready] },
  };
}

async function patchOnce({ api }: Site, path: string, ip: string): Promise<void> {
  const { marks, served } = sayings(ip);
  await api.patch(path, { metadata: marks, status: served });
}

async function patchTwice({ api }: Site, path: string, ip: string): Promise<void> {
  const { marks, provisioning, served } = sayings(ip);
  await api.patch(path, { metadata: marks, status: provisioning });
  await api.patch(path, { status: served });
}

/** All Services at once, with the controller; `then` measures what else there is while they are there. */
export async function measureBurst(
  site: Site,
  program: ProgramForm,
  then: (product: Product) => Promise<void> = async () => {},
): Promise<Burst> {
  const { services } = site.plan;
  const namespace = await site.namespace();
  const product = await site.start(program, program);
  const watch = await AddressWatch.open(site.api, namespace);
  try {
    await sleep(site.plan.idleMs);
    const idle = product.usage();
    await product.loopDelay();
    const [written, spent] = [await site.writes(), serverCpuSeconds()];
    const { beganAt, endedAt } = await site.createAll(namespace);
    const lastAt = await watch.all(services, SETTLE_MS);
    const serverCpu = serverCpuSeconds() - spent;
    const loop = await product.loopDelay();
    const writes = await site.writesSince(written);
    const after = product.usage();
    await then(product);
    const deleteMs = await site.deleteAll(namespace, services, watch);
    const times = { createMs: endedAt - beganAt, totalMs: lastAt - beganAt, tailMs: lastAt - endedAt, deleteMs };
    return { ...times, serverCpuSeconds: serverCpu, writes, idle, after, loop, complaints: product.complaints().slice(0, 20) };
  } finally {
    watch.close();
    await product.stop();
  }
}
