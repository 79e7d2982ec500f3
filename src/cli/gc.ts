import type { Config } from '../config/config.ts';
import { optionsForProvider, toConfig } from '../config/read.ts';
import { claim, FINALIZER, HELD_BY, heldAddresses, heldBy, OUR_ANNOTATIONS } from '../controller/claim.ts';
import { balancerKeyOf, isKeyIn } from '../controller/share.ts';
import { patchFor, sayGone } from '../controller/status.ts';
import { UsageError } from '../errors.ts';
import { type KubeApi, KubeError } from '../kube/api.ts';
import { connectKube } from '../kube/client.ts';
import { readService, type Service } from '../kube/objects.ts';
import { nameOf, type Step } from '../model.ts';
import { createLog, logOptionsFor } from '../ops/log.ts';
import type { Provider } from '../providers/provider.ts';
import { createProvider } from '../providers/registry.ts';
import type { Call } from './command.ts';
import { kubeChoice } from './connect.ts';
import { listServices } from './read.ts';

/** Something that we hold and that no Service wants any more. */
export interface Leftover {
  /** `balancer` at the provider, or `finalizer` on a Service. */
  readonly kind: 'balancer' | 'finalizer';
  readonly id: string;
  readonly balancer: string;
  readonly why: string;
}

/** `gc`: lists what nobody wants any more; `--delete` takes it down; `--release` lets go of one Service. @returns 0 */
export async function runGc(call: Call): Promise<number> {
  const config = toConfig(call.values);
  const api = await connectKube(kubeChoice(call.values));
  try {
    const released = call.values.release;
    return released === undefined ? await collect(call, config, api) : await release(call, config, api, released);
  } finally {
    await api.close();
  }
}

async function collect(call: Call, config: Config, api: KubeApi): Promise<number> {
  const services = await listServices(api, config.namespaces);
  const log = await createLog(logOptionsFor(config.logLevel, false));
  const provider = await createProvider(config.provider, {
    clusterName: config.clusterName,
    log,
    options: optionsForProvider(config),
  });
  await provider.open({ balancers: [], surroundings: { reservedBy: () => undefined }, changed: () => {} });
  try {
    const leftovers = [...findFinalizers(services, config), ...(await findBalancers(services, config, provider))];
    if (call.values.output === 'json') call.out.write(`${JSON.stringify({ version: 1, leftovers }, null, 2)}\n`);
    else for (const left of leftovers) call.out.write(`${left.kind} ${left.id}: ${left.why}\n`);
    if (leftovers.length === 0) call.err.write(`nothing is left over (provider ${provider.name})\n`);
    if (call.values.delete && config.dryRun) call.err.write('dry run: nothing was deleted\n');
    else if (call.values.delete) await deleteBalancers(leftovers, provider, call);
    return 0;
  } finally {
    await provider.close(0);
  }
}

/**
 * Services that carry our finalizer and want no balancer any more: their controller is not running, or runs another provider or
 * under another class.
 */
function findFinalizers(services: readonly Service[], config: Config): readonly Leftover[] {
  const options = { loadBalancerClass: config.loadBalancerClass, claimUnset: true };
  return services.flatMap((service) => {
    const decided = claim(service, options);
    const wanted =
      decided.kind === 'ours' || (decided.kind === 'foreign' && service.type === 'LoadBalancer' && !service.deleting);
    if (wanted || !service.finalizers.includes(FINALIZER)) return [];
    const why = `${decided.why}; a controller with --provider ${heldBy(service) || 'of its own'} takes it down, or let go with --release`;
    return [
      { kind: 'finalizer' as const, id: nameOf(service), balancer: balancerKeyOf(service, config.shareAcrossNamespaces), why },
    ];
  });
}

async function findBalancers(services: readonly Service[], config: Config, provider: Provider): Promise<readonly Leftover[]> {
  const known = new Set(services.map((service) => balancerKeyOf(service, config.shareAcrossNamespaces)));
  const keys = (await provider.keys()).filter((key) => !known.has(key) && isKeyIn(key, config.namespaces));
  return keys.map((key) => ({
    kind: 'balancer',
    id: key,
    balancer: key,
    why: `provider ${provider.name} has it, and no Service of that name is there`,
  }));
}

async function deleteBalancers(leftovers: readonly Leftover[], provider: Provider, call: Call): Promise<void> {
  for (const { balancer } of leftovers.filter((left) => left.kind === 'balancer')) {
    for (const step of provider.plan(undefined, await provider.observe(balancer), Date.now())) {
      if (step.waitsFor) break;
      await provider.apply(step);
      call.err.write(`${balancer}: ${(step satisfies Step).summary}\n`);
    }
  }
}

async function release(call: Call, config: Config, api: KubeApi, name: string): Promise<number> {
  const service = await findService(api, name, String(call.values.namespace ?? 'default'));
  const marks = OUR_ANNOTATIONS.some((annotation) => service.annotations[annotation] !== undefined);
  if (!service.finalizers.includes(FINALIZER) && !marks) {
    call.err.write(`${nameOf(service)} holds nothing of ours; there is nothing to let go of\n`);
    return 0;
  }
  call.err.write(sayLeak(service));
  const patch = patchFor(service, sayGone(service), new Date().toISOString());
  if (config.dryRun || !patch) {
    call.err.write('dry run: nothing was written\n');
    return 0;
  }
  await api.patch('patchServiceStatus', service.namespace, service.name, patch, 'strategic');
  call.out.write(`${nameOf(service)} released\n`);
  return 0;
}

function sayLeak(service: Service): string {
  const addresses = heldAddresses(service).join(', ') || 'none that is known';
  const holder = service.annotations[HELD_BY] ?? 'an unknown provider';
  return `${nameOf(service)} is held by ${holder}; what it made there stays and is yours to remove (addresses: ${addresses})\n`;
}

async function findService(api: KubeApi, name: string, fallbackNamespace: string): Promise<Service> {
  const [first = '', second] = name.split('/');
  const [namespace, plain] = second === undefined ? [fallbackNamespace, first] : [first, second];
  try {
    const service = readService(await api.get('getService', namespace, plain));
    if (service) return service;
  } catch (thrown) {
    if (!(thrown instanceof KubeError) || thrown.status !== 404) throw thrown;
  }
  throw new UsageError([{ where: '--release', value: name, message: `there is no Service ${namespace}/${plain}` }]);
}
