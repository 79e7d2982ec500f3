import type { Config } from '../config/config.ts';
import { type Carriers, makeCarriers } from '../controller/carriers.ts';
import { claim } from '../controller/claim.ts';
import type { Claims } from '../controller/claims.ts';
import { type Decision, decide } from '../controller/decision.ts';
import { describeInput, wantedBalancers } from '../controller/input.ts';
import type { Intent, IntentInput } from '../controller/intent.ts';
import { isKeyIn } from '../controller/share.ts';
import { otherServicesOf } from '../controller/spread.ts';
import { cures, Refusal } from '../errors.ts';
import type { Service } from '../kube/objects.ts';
import { type Balancer, nameOf, type Step } from '../model.ts';
import type { Provider } from '../providers/provider.ts';
import type { BalancerPlan, Change, PlannedRefusal, PlannedStep } from './plan-document.ts';
import { describeMove, describeNotes, type Mover } from './plan-notes.ts';
import type { Picture } from './plan-picture.ts';
import { describeStanding } from './plan-standing.ts';

/** All that a plan is made from. */
export interface PlanInput {
  readonly config: Config;
  readonly provider: Provider;
  readonly claims: Pick<Claims, 'unset'>;
  /** The cluster as it is, and as it would be. */
  readonly before: Picture;
  readonly after: Picture;
  /** Only these Services are of interest; a balancer that has none of them is left out. Undefined: everything. */
  isOfInterest?(service: string): boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Why an address is given up, when it is. */
  readonly whyMoved: Mover;
}

/** Opens the provider to look, decides and plans as a controller would that began now, and closes it. Nothing is written anywhere. */
export async function makePlans(input: PlanInput): Promise<readonly BalancerPlan[]> {
  const { provider } = input;
  const scene = await openScene(input);
  try {
    const plans: BalancerPlan[] = [];
    for (const key of keysOf(scene)) {
      const plan = await planBalancer(key, scene);
      if (plan) plans.push(plan);
    }
    return (await planMoves(plans, scene)).sort((a, b) => (a.key < b.key ? -1 : 1));
  } finally {
    await provider.close(0);
  }
}

interface Scene extends PlanInput {
  readonly carriers: Carriers;
  readonly standing: ReadonlyMap<string, Balancer>;
  /** Keys of all that the provider has. */
  readonly owned: ReadonlySet<string>;
  /** Balancers that hold an address of no pool, as they are wanted; what consent would bring is planned when all else is. */
  readonly movable: Map<string, Balancer>;
}

async function openScene(input: PlanInput): Promise<Scene> {
  const { provider, before, after, config, claims } = input;
  const nobody = { holdsBack: () => false };
  const inputBefore = describeInput({ provider: provider.name, config, cluster: before.cluster, claims, carriers: nobody });
  const standing = before.cluster.keys().flatMap((key) => describeStanding(inputBefore(key)) ?? []);
  await provider.open({
    balancers: wantedBalancers(before.cluster, inputBefore),
    surroundings: after.cluster.surroundings,
    changed: () => {},
    lookOnly: { standing },
  });
  const owned = await provider.keys();
  const carriers = makeCarriers({ find: after.find, freed: () => {} });
  for (const key of owned) carriers.note(key, provider.report(await provider.observe(key)));
  for (const balancer of standing) carriers.expect(balancer.key, balancer);
  const byKey = new Map(standing.map((balancer) => [balancer.key, balancer]));
  return { ...input, carriers, standing: byKey, owned: new Set(owned), movable: new Map() };
}

/** As the controller comes to them: older Services first, then what nobody wants any more. */
function keysOf({ after, owned, config }: Scene): readonly string[] {
  const ageOf = (key: string): string =>
    after.cluster
      .membersOf(key)
      .map(({ createdAt, uid }) => `${createdAt} ${uid}`)
      .sort()[0] ?? '';
  const ages = new Map(after.cluster.keys().map((key) => [key, ageOf(key)]));
  const keys = [...ages.keys()].sort((a, b) => (ages.get(a)! < ages.get(b)! ? -1 : 1));
  const leftovers = [...owned].filter((key) => !ages.has(key)).sort();
  return [...keys, ...leftovers].filter((key) => isKeyIn(key, config.namespaces));
}

async function planBalancer(key: string, scene: Scene): Promise<BalancerPlan | undefined> {
  const { provider, after, config, claims, carriers, standing, owned } = scene;
  const decider = { provider, surroundings: after.cluster.surroundings };
  const inputFor = describeInput({ provider: provider.name, config, cluster: after.cluster, claims, carriers });
  const had = provider.report(await provider.observe(key));
  const existed = had.listeners.length + had.addresses.length > 0;
  let decision = decide(inputFor(key), decider, standing.get(key));
  const coming = findComing(key, inputFor(key), after);
  const services = [...servicesOf(decision, after, key), ...coming].sort();
  if (services.length === 0 && !owned.has(key)) return undefined;
  const wasMember = (standing.get(key)?.members ?? []).map(nameOf);
  const receivers = after.cluster.membersOf(key).flatMap(otherServicesOf);
  if (scene.isOfInterest && ![...services, ...wasMember, ...receivers, key].some(scene.isOfInterest)) return undefined;
  await provider.observe(key); // finds out about what annotations name, which the next decision judges
  decision = decide(inputFor(key), decider, standing.get(key));
  const planned = await planSteps(key, decision, scene);
  return {
    key,
    change: coming.length > 0 && !existed ? 'create' : changeOf(planned.steps, decision.wanted, existed),
    services,
    addresses: { now: publishedBy(scene, key), planned: decision.wanted?.address.held ?? [] },
    steps: planned.steps.map(pickStep),
    refused: planned.refused,
    ...(planned.withConsent ? { withConsent: planned.withConsent.map(pickStep) } : {}),
    notes: [
      ...describeNotes({ ...scene, key, decision, coming, held: standing.get(key) }),
      ...(decision.wanted ? await askNotes(key, decision, scene) : []),
    ],
  };
}

function servicesOf({ served, refused, intent }: Decision, { cluster }: Picture, key: string): readonly string[] {
  const all = [...served, ...refused.map(({ service }) => service), ...intent.leaving.map(({ service }) => service)];
  const names = new Set(all.map(nameOf));
  return cluster
    .membersOf(key)
    .map(nameOf)
    .filter((name) => names.has(name));
}

/** Services that belong to the balancer, and wait until another one has let go of their address. */
function findComing(key: string, { members }: IntentInput, { cluster }: Picture): readonly string[] {
  return cluster
    .membersOf(key)
    .filter((service) => !members.includes(service))
    .map(nameOf);
}

interface Planned {
  readonly steps: readonly Step[];
  readonly refused: readonly PlannedRefusal[];
  readonly withConsent?: readonly Step[];
}

async function planSteps(
  key: string,
  { wanted, served, refused, blind, idle, intent }: Decision,
  scene: Scene,
): Promise<Planned> {
  const told = refused.map(({ service, refusal }) => describeRefusal(service, refusal));
  const consent = async (refusal: Refusal | undefined, balancer: Balancer | undefined) => {
    const found = refusal?.code === 'DisruptionNotAllowed' && balancer ? await planConsented(balancer, scene) : undefined;
    return found ? { withConsent: found.steps } : {};
  };
  if (blind || idle) return { steps: [], refused: told, ...(await consent(refused[0]?.refusal, intent.wanted)) };
  try {
    return { steps: await askPlan(key, wanted, intent.leaving, scene), refused: told };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const now = served.map((service) => describeRefusal(service, thrown));
    return { steps: [], refused: [...told, ...now], ...(await consent(thrown, wanted)) };
  }
}

async function askPlan(
  key: string,
  wanted: Balancer | undefined,
  leaving: Intent['leaving'],
  { provider, now }: Scene,
): Promise<readonly Step[]> {
  const members = leaving.map(({ service }) => service);
  return provider.plan(wanted, await provider.observe(key, wanted), now, members);
}

/** What the provider says beside, for instance of nodes that cannot be targets. */
async function askNotes(key: string, { intent }: Decision, { provider, movable }: Scene): Promise<readonly string[]> {
  const notes = provider.report(await provider.observe(key)).notes ?? [];
  if (intent.wanted && notes.some(({ code }) => code === 'AddressNotInPool')) movable.set(key, intent.wanted);
  return notes.map(({ message }) => message);
}

/** Nobody is moved because pools have changed; who would move, and where to, if his author allowed it. */
async function planMoves(plans: readonly BalancerPlan[], scene: Scene): Promise<BalancerPlan[]> {
  const planned: BalancerPlan[] = [];
  for (const plan of plans) {
    const wanted = scene.movable.get(plan.key);
    const moved = wanted && (await planConsented(wanted, scene));
    if (!moved || moved.steps.length === plan.steps.length) planned.push(plan);
    else {
      const notes = describeMove(moved.wanted, scene.standing.get(plan.key), scene.whyMoved);
      planned.push({
        ...plan,
        withConsent: moved.steps.map(pickStep),
        notes: [...plan.notes, ...notes.map((one) => `with consent it ${one}`)],
      });
    }
  }
  return planned;
}

/** @returns undefined when consent alone would not do */
async function planConsented(
  balancer: Balancer,
  scene: Scene,
): Promise<{ readonly wanted: Balancer; readonly steps: readonly Step[] } | undefined> {
  const consenting = { ...balancer, settings: { ...balancer.settings, allowDisruption: true } };
  try {
    const wanted = scene.provider.adjust(consenting, scene.after.cluster.surroundings);
    return { wanted, steps: await askPlan(balancer.key, wanted, [], scene) };
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}

function describeRefusal(service: Service, { code, subject }: Refusal): PlannedRefusal {
  return { service: nameOf(service), reason: code, message: subject, cure: cures[code] };
}

function changeOf(steps: readonly Step[], wanted: Balancer | undefined, existed: boolean): Change {
  if (steps.length === 0) return 'none';
  if (!wanted) return 'delete';
  return existed ? 'change' : 'create';
}

function pickStep({ kind, summary, reason, disrupts, call, waitsFor }: Step): PlannedStep {
  return { kind, summary, reason, disrupts, ...(call === undefined ? {} : { call }), ...(waitsFor ? { waitsFor } : {}) };
}

function publishedBy({ before, standing }: Scene, key: string): readonly string[] {
  const entries = before.cluster.membersOf(key).flatMap(({ ingress }) => ingress);
  const published = entries.flatMap(({ ip, hostname }) => ip ?? hostname ?? []);
  return [...new Set([...(standing.get(key)?.address.held ?? []), ...published])];
}

/** Services of type LoadBalancer that belong to others, and why. */
export function describeOthers({
  after,
  config,
  claims,
  isOfInterest,
}: PlanInput): readonly { readonly service: string; readonly why: string }[] {
  const options = { loadBalancerClass: config.loadBalancerClass, claimUnset: claims.unset() };
  return after.services.flatMap((service) => {
    const decided = claim(service, options);
    if (decided.kind !== 'foreign' || (service.type !== 'LoadBalancer' && !isOfInterest)) return [];
    return isOfInterest && !isOfInterest(nameOf(service)) ? [] : [{ service: nameOf(service), why: decided.why }];
  });
}
