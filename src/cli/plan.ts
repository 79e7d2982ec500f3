import type { Config } from '../config/config.ts';
import { toConfig } from '../config/read.ts';
import { heldBy } from '../controller/claim.ts';
import { type Claims, decideClaims } from '../controller/claims.ts';
import { explain, UsageError } from '../errors.ts';
import type { KubeApi } from '../kube/api.ts';
import { connectKube, describeKube, inCluster } from '../kube/client.ts';
import { readNode, readService } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { createProvider } from '../providers/registry.ts';
import type { Call } from './command.ts';
import { kubeChoice } from './connect.ts';
import { renderData } from './output.ts';
import { type Interest, openLog, readInterest } from './plan-call.ts';
import { markShared, PLAN_VERSION, type PlanDocument, summarise } from './plan-document.ts';
import type { FileObject } from './plan-file.ts';
import { describeOthers, makePlans, type PlanInput } from './plan-make.ts';
import type { Mover } from './plan-notes.ts';
import { layOver, type Overlay } from './plan-overlay.ts';
import { makePicture } from './plan-picture.ts';
import { renderPlan } from './plan-text.ts';
import { unveil } from './plan-unveil.ts';
import { type ContextParts, describeContext } from './provider-context.ts';
import { listRawNodes, listRawServices } from './read.ts';

/**
 * `plan`: what a controller of this configuration would create, change and delete, and why; writes nothing.
 * @returns 0; with `--exit-code` 1 when there is something to do, 2 when it could not be planned or a Service of the file is refused
 */
export async function runPlan(call: Call): Promise<number> {
  const { values, out } = call;
  const strict = values.exitCode === true;
  try {
    if (values.adoptFrom !== undefined) return await (await import('./plan-adopt-run.ts')).runAdoption(call, values.adoptFrom);
    const { plan, named, isNarrowed, holders } = await makePlan(call);
    const text = () => renderPlan(plan, { columns: out.columns, colour: out.colour, now: Date.now(), verbose: isNarrowed });
    out.write(values.output === 'json' ? await renderData(plan, 'json') : text());
    if (holders.length > 0) call.err.write(`${sayHolders(holders, plan.provider, values.provider !== undefined)}\n`);
    return strict ? judge(plan, named) : 0;
  } catch (thrown) {
    if (!strict || thrown instanceof UsageError) throw thrown;
    call.err.write(`nodeport-lb plan: ${explain(thrown)}\n`); // 1 would say that there is something to do
    return 2;
  }
}

function judge({ balancers, summary }: PlanDocument, named: readonly string[]): number {
  if (balancers.some(({ refused }) => refused.some(({ service }) => named.includes(service)))) return 2;
  return summary.create + summary.change + summary.delete > 0 ? 1 : 0;
}

interface Made {
  readonly plan: PlanDocument;
  /** The file's Services. */
  readonly named: readonly string[];
  /** The plan is about certain Services only. */
  readonly isNarrowed: boolean;
  /** Providers that hold all that is refused, where nothing else is the matter with it. */
  readonly holders: readonly string[];
}

async function makePlan(call: Call): Promise<Made> {
  const config = toConfig(call.values);
  const interest = await readInterest(call);
  const objects = await readObjects(call);
  const api = await connectKube(kubeChoice(call.values));
  try {
    const { context, server } = api.where;
    call.err.write(`context ${context}, server ${server}, provider ${config.provider}\n`);
    const log = await openLog(call);
    const [claims, input] = await Promise.all([decideClaims(api, config, log), readInput(api, config, objects)]);
    refuseUnknown(call, input.overlay, interest.only);
    const cluster = await describeKube(kubeChoice(call.values));
    const namespace = cluster.inCluster && cluster.namespace !== '' ? { namespace: cluster.namespace } : {};
    const plan = await planWith({ api, ...namespace, config, log, claims, ...input, ...interest });
    const isNarrowed = interest.isOfInterest !== undefined;
    return { plan, named: input.overlay.named, isNarrowed, holders: findHolders(plan, input.overlay) };
  } finally {
    await api.close();
  }
}

/** Most likely the plan was made with other options than the controller has. */
function findHolders({ balancers, provider }: PlanDocument, { services }: Overlay): readonly string[] {
  const refused = balancers.flatMap((one) => one.refused);
  if (refused.some(({ reason }) => reason !== 'OtherProvider')) return [];
  const names = new Set(refused.map(({ service }) => service));
  const held = services.flatMap((raw) => readService(raw) ?? []).filter((service) => names.has(nameOf(service)));
  const holders = [...new Set(held.map(heldBy))].sort();
  return holders.includes(provider) ? [] : holders; // held under another class
}

function sayHolders(holders: readonly string[], provider: string, isAsked: boolean): string {
  const made = `this plan was made for provider ${provider}${isAsked ? '' : ' (the default)'}`;
  return `What is refused is held by provider ${holders.join(' and ')}, and ${made}: give plan the options or the --config of your controller.`;
}

/** The file's objects, each Service with a namespace. */
async function readObjects({ values, err }: Call): Promise<readonly FileObject[]> {
  if (values.file === undefined) return [];
  const { readManifests } = await import('./plan-file.ts'); // brings the YAML reader
  const { objects, others } = await readManifests(values.file);
  if (others.size > 0) {
    const kinds = [...others].map(([kind, count]) => (count === 1 ? kind : `${count} ${kind}s`));
    err.write(`${values.file}: only Services and Nodes count here; passed over: ${kinds.join(', ')}\n`);
  }
  const fallback = values.namespace ?? ((await describeKube(kubeChoice(values))).namespace || 'default');
  return objects.map((one) => (one.kind === 'Service' && one.namespace === '' ? { ...one, namespace: fallback } : one));
}

interface Read extends Pick<PlanInput, 'before' | 'after'> {
  readonly overlay: Overlay;
}

async function readInput(api: KubeApi, config: Config, objects: readonly FileObject[]): Promise<Read> {
  const [services, nodes] = await Promise.all([listRawServices(api, config.namespaces), listRawNodes(api)]);
  const overlay = layOver({ services, nodes }, objects, new Date().toISOString());
  const picture = (raw: { readonly services: readonly unknown[]; readonly nodes: readonly unknown[] }) =>
    makePicture(
      raw.services.flatMap((one) => readService(one) ?? []),
      raw.nodes.flatMap((one) => readNode(one) ?? []),
      config,
    );
  return { overlay, before: picture({ services, nodes }), after: picture(overlay) };
}

function refuseUnknown({ operands, values }: Call, { services }: Overlay, only: string | undefined): void {
  if (only === undefined || services.some((raw) => nameOf(readService(raw) ?? { namespace: '', name: '' }) === only)) return;
  const message = `there is no Service ${only}${values.file === undefined ? '' : `, neither in the cluster nor in ${values.file}`}`;
  throw new UsageError([{ where: 'argument', value: operands[0] ?? '', message }]);
}

interface Planning extends Read, Interest, ContextParts {
  readonly claims: Claims;
}

async function planWith({ overlay, ...rest }: Planning): Promise<PlanDocument> {
  const { config } = rest;
  const provider = await createProvider(config.provider, await describeContext(rest));
  const input = { ...rest, provider, now: Date.now(), whyMoved: await findMover(config) };
  const balancers = markShared(await makePlans(input)).map((one) => unveil(one, overlay.stand));
  return {
    version: PLAN_VERSION,
    provider: provider.name,
    balancers,
    leftAlone: describeOthers(input),
    summary: summarise(balancers),
  };
}

async function findMover(config: Config): Promise<Mover> {
  if (config.provider !== 'local') return () => undefined;
  return (await import('./plan-moves.ts')).explainPools(config, inCluster());
}
