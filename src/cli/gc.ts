import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { optionsForProvider, toConfig } from '../config/read.ts';
import { claim, FINALIZER, HELD_BY, heldAddresses, heldBy, OUR_ANNOTATIONS } from '../controller/claim.ts';
import { balancerKeyOf, isKeyIn } from '../controller/share.ts';
import { patchFor, sayGone } from '../controller/status.ts';
import { type Code, Refusal, UsageError } from '../errors.ts';
import { type KubeApi, KubeError } from '../kube/api.ts';
import { connectKube } from '../kube/client.ts';
import { readService, type Service } from '../kube/objects.ts';
import { nameOf, type Step } from '../model.ts';
import { createLog, logOptionsFor } from '../ops/log.ts';
import type { Provider, ProviderStart } from '../providers/provider.ts';
import { createProvider } from '../providers/registry.ts';
import type { Call } from './command.ts';
import { kubeChoice } from './connect.ts';
import { listServices } from './read.ts';

/** Something that we hold and that no Service wants any more. */
export interface Leftover {
  /** `balancer` at the provider, `listener` of one that other Services still want, or `finalizer` on a Service. */
  readonly kind: 'balancer' | 'listener' | 'finalizer';
  readonly id: string;
  readonly balancer: string;
  readonly why: string;
  /** Of a balancer: what its removal does, one line a step. */
  readonly steps?: readonly string[];
  /** Of a balancer: Services that are leaving it for another one; `--delete` keeps it. */
  readonly leaving?: readonly string[];
}

/** What is in use for a while after its user has gone is waited for; whatever takes longer is left to the next run. */
const DELETE_MS = 180_000;
const PAUSE_MS = 3_000;

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
  const leftovers = await withProvider(config, { lookOnly: { standing: [] } }, async (provider) => {
    const found = [
      ...findFinalizers(services, config),
      ...(await findBalancers(services, config, provider)),
      ...(await findListeners(services, config, provider)),
    ];
    if (call.values.output === 'json') call.out.write(`${JSON.stringify({ version: 1, leftovers: found }, null, 2)}\n`);
    else for (const left of found) call.out.write(sayLeftover(left));
    if (found.length === 0) call.err.write(`nothing is left over (provider ${provider.name})\n`);
    return found;
  });
  if (!call.values.delete) return 0;
  if (config.dryRun) call.err.write('dry run: nothing was deleted\n');
  else if (leftovers.some(({ kind, leaving }) => kind === 'balancer' && !leaving)) {
    await withProvider(config, {}, (provider) => deleteBalancers(services, config, provider, call));
  }
  return 0;
}

/** Opens it, and closes it again. */
async function withProvider<T>(
  config: Config,
  start: Partial<ProviderStart>,
  act: (provider: Provider) => Promise<T>,
): Promise<T> {
  const log = await createLog(logOptionsFor(config.logLevel, false));
  const { clusterName } = config;
  const provider = await createProvider(config.provider, { clusterName, log, options: optionsForProvider(config) });
  try {
    await provider.open({ balancers: [], surroundings: { reservedBy: () => undefined }, changed: () => {}, ...start });
    return await act(provider);
  } finally {
    await provider.close(0);
  }
}

function sayLeftover({ kind, id, why, steps = [] }: Leftover): string {
  return [`${kind} ${id}: ${why}`, ...steps.map((one) => `  ${one}`), ''].join('\n');
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

/** Whether the Service wants a balancer of ours, whichever. */
function isWanted(service: Service, { loadBalancerClass }: Config): boolean {
  return claim(service, { loadBalancerClass, claimUnset: true }).kind === 'ours';
}

/** A Service that is another controller's and carries no finalizer of ours has no say in what we hold under its name. */
function wantedKeys(services: readonly Service[], config: Config): ReadonlySet<string> {
  const ours = services.filter((one) => one.finalizers.includes(FINALIZER) || isWanted(one, config));
  return new Set(ours.map((service) => balancerKeyOf(service, config.shareAcrossNamespaces)));
}

async function findBalancers(services: readonly Service[], config: Config, provider: Provider): Promise<readonly Leftover[]> {
  const wanted = wantedKeys(services, config);
  const keys = (await provider.keys()).filter((key) => !wanted.has(key) && isKeyIn(key, config.namespaces));
  const found: Leftover[] = [];
  for (const key of keys) {
    const observed = await provider.observe(key);
    const steps = provider.plan(undefined, observed, Date.now()).map(({ summary }) => summary);
    const uids = new Set(provider.report(observed).listeners.map(({ uid }) => uid));
    const leaving = services.filter((service) => uids.has(service.uid) && isWanted(service, config)).map(nameOf);
    const why =
      leaving.length > 0
        ? `it is what clients of ${leaving.join(', ')} know until another balancer serves them; the controller takes it down then`
        : `provider ${provider.name} has it, and no Service of that name wants it`;
    found.push({ kind: 'balancer', id: key, balancer: key, why, steps, ...(leaving.length > 0 ? { leaving } : {}) });
  }
  return found;
}

/** Listeners of members that have gone, on balancers that other members still want. */
async function findListeners(services: readonly Service[], config: Config, provider: Provider): Promise<readonly Leftover[]> {
  const wanted = wantedKeys(services, config);
  const living = new Set(services.map(({ uid }) => uid));
  const found: Leftover[] = [];
  for (const key of await provider.keys()) {
    if (!wanted.has(key) || !isKeyIn(key, config.namespaces)) continue;
    for (const { uid, port, protocol } of provider.report(await provider.observe(key)).listeners) {
      if (living.has(uid)) continue;
      const why = `no Service has the UID ${uid} any more; the controller takes it down in its next pass`;
      found.push({ kind: 'listener', id: `${key} ${port}/${protocol}`, balancer: key, why });
    }
  }
  return found;
}

/** One after the other, and in the end what they had in common. */
async function deleteBalancers(services: readonly Service[], config: Config, provider: Provider, call: Call): Promise<void> {
  const deadline = Date.now() + DELETE_MS;
  const tried = new Set<string>();
  const next = async (): Promise<string | undefined> =>
    (await findBalancers(services, config, provider)).find(({ balancer, leaving }) => !leaving && !tried.has(balancer))?.balancer;
  for (let key = await next(); key !== undefined; key = await next()) {
    tried.add(key);
    const why = await deleteBalancer(key, provider, call, deadline).catch(whyKept);
    if (why !== undefined) call.err.write(`${key}: ${why}\n`);
  }
}

/** Reasons to keep one balancer that say nothing of the others. */
const OF_ONE: readonly Code[] = ['DeletionProtected', 'TargetsOfOthers'];

function whyKept(thrown: unknown): string {
  if (thrown instanceof Refusal && OF_ONE.includes(thrown.code)) return thrown.message;
  throw thrown;
}

/** @returns why something of it is left, or undefined */
async function deleteBalancer(key: string, provider: Provider, call: Call, deadline: number): Promise<string | undefined> {
  for (;;) {
    for (const step of provider.plan(undefined, await provider.observe(key), Date.now())) {
      if (step.waitsFor) break;
      await provider.apply(step);
      call.err.write(`${key}: ${(step satisfies Step).summary}\n`);
    }
    if (provider.report(await provider.observe(key)).gone) return undefined;
    if (Date.now() >= deadline) return 'something of it is still in use; run gc --delete again later';
    await pause(PAUSE_MS);
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
  const what = holder.startsWith('local/')
    ? 'its addresses are free, and answer no more, once that controller and its agents are gone; while they run they take it again'
    : 'what it made there stays and is yours to remove';
  return `${nameOf(service)} is held by ${holder}; ${what} (addresses: ${addresses})\n`;
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
