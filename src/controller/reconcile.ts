import { cures, explain, Refusal } from '../errors.ts';
import type { Service } from '../kube/objects.ts';
import { type Balancer, nameOf, type Report, type Step } from '../model.ts';
import type { Provider, Surroundings } from '../providers/provider.ts';
import type { Carriers } from './carriers.ts';
import { FINALIZER, foreignFinalizer } from './claim.ts';
import { type Decision, decide } from './decision.ts';
import { Unfollowed } from './failures.ts';
import { forAll } from './for-all.ts';
import type { Intent, IntentInput } from './intent.ts';
import { type Held, hold } from './marks.ts';
import type { Next } from './queue.ts';
import { type Said, sayBoth, sayGone, sayMarks, sayNotes, sayRefused, sayServed, type Verdict } from './status.ts';
import type { Truce } from './truce.ts';
import { conditionOf, isReady, NotLeader, type Writer } from './writer.ts';

/** What a pass works with. */
export interface Desk<O> {
  readonly provider: Provider<O>;
  readonly writer: Writer;
  readonly surroundings: Surroundings;
  /** `PROVIDER/CLUSTER`, recorded on each Service whose balancer is held. */
  readonly holder: string;
  readonly dryRun: boolean;
  /** Asked before each step: a leader that has lost its Lease changes nothing at the provider any more. */
  mayWrite(): boolean;
  inputFor(key: string): IntentInput;
  now(): number;
  /** Told of each step before it is applied, or instead of that in a dry run. */
  stepping(key: string, step: Step): void;
  /** Told of each step that was applied, and what was thrown. */
  applied(step: Step, thrown: unknown): void;
  readonly carriers: Carriers;
  readonly truce: Truce;
  /** What the pass before brought about; undefined: nothing, or not known. */
  lastWanted(key: string): Balancer | undefined;
  /** Told of what the provider has after each pass; the key's nodes and where endpoints are is as it was in the pass before, or not. */
  passed(key: string, wanted: Balancer | undefined, report: Report): { readonly sameNodes: boolean };
}

/** How soon a balancer that has not settled is looked at again, if nothing calls for it earlier. */
const POLL_MS = 5_000;

/** Brings one balancer from what is to what is wanted. Handed a key, never an event; a second run changes nothing. */
export async function reconcile<O>(key: string, desk: Desk<O>): Promise<Next> {
  const decision = decide(desk.inputFor(key), desk, desk.lastWanted(key));
  const { intent, wanted, served, refused, blind } = decision;
  tellWarnings(intent, desk.writer);
  if (wanted && !desk.dryRun) desk.carriers.expect(key, wanted);
  const told = await outcomeOf(refuseAll(refused, desk)); // a refusal that cannot be written holds up nobody
  const renewMs = told.value ?? Number.POSITIVE_INFINITY;
  const followed = await outcomeOf(followNodes(key, decision, desk)); // nor does what stands for those who are refused
  if (decision.idle && !hasStrays(key, decision, desk)) return finish(told, followed, renewMs);
  if (wanted) tellClashes(served, wanted, desk);
  tellRivals(served, desk.writer);
  if (desk.dryRun) return blind ? {} : await rehearse(key, wanted, intent.leaving, desk);
  return finish(told, followed, Math.min(renewMs, await carryOut(key, decision, desk)));
}

/** @returns ms until the key must be looked at again */
async function followNodes<O>(key: string, { forgotten }: Decision, desk: Desk<O>): Promise<number> {
  if (!forgotten || desk.dryRun || !desk.provider.follow) return Number.POSITIVE_INFINITY;
  const steps = await desk.provider.follow(key, forgotten.nodes, forgotten.uids);
  return (await applyAll(key, steps, desk)).waitMs;
}

/** @returns ms until the key must be looked at again */
async function carryOut<O>(key: string, decision: Decision, desk: Desk<O>): Promise<number> {
  const { provider } = desk;
  const { intent, served, blind } = decision;
  const { services, wanted, thrown } = decision.wanted ? await hold(served, decision.wanted, desk) : NOTHING_HELD;
  const applied = blind ? NOTHING_APPLIED : await applySteps(key, wanted, intent.leaving, desk);
  const report = provider.report(await provider.observe(key)); // believe the provider, not the plan
  desk.carriers.note(key, report);
  const { sameNodes } = desk.passed(key, wanted, report);
  const choices = applied.steps.flatMap(({ choice }) => choice ?? []);
  // A node's coming would be an event for each of a thousand Services, and a roll-out one for each pod.
  const news = { steps: sameNodes ? applied.steps : [], choices };
  let renewMs = Number.POSITIVE_INFINITY;
  try {
    if (wanted) renewMs = await publish(services, wanted, report, intent, news, desk);
  } finally {
    await releaseAll(intent.leaving, report, desk); // a member whose status cannot be written holds up nobody who leaves
  }
  if (thrown !== undefined) throw thrown;
  return Math.min(renewMs, applied.waitMs, report.settled || report.gone ? Number.POSITIVE_INFINITY : POLL_MS);
}

const NOTHING_HELD: Held = { services: [], wanted: undefined };

/** Whether something was made for Services that have nothing on record, and that cannot be served as they are now. */
function hasStrays<O>(key: string, { wanted, blind }: Decision, { provider, carriers, dryRun }: Desk<O>): boolean {
  return provider.ephemeral === true && !wanted && !blind && !dryRun && carriers.carries(key);
}

interface Outcome<T> {
  readonly value?: T;
  readonly thrown?: unknown;
}

async function outcomeOf<T>(act: Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await act };
  } catch (thrown) {
    return { thrown };
  }
}

/** The pass is done; what could not be told, or followed, fails it now, so that it is tried again. */
function finish(told: Outcome<number>, followed: Outcome<number>, afterMs: number): Next {
  if (told.value === undefined) throw told.thrown;
  if (followed.value === undefined) {
    const { thrown } = followed;
    throw thrown instanceof NotLeader ? thrown : new Unfollowed(explain(thrown), { cause: thrown });
  }
  return { afterMs: Math.min(afterMs, followed.value) };
}

async function rehearse<O>(key: string, wanted: Balancer | undefined, leaving: Intent['leaving'], desk: Desk<O>): Promise<Next> {
  for (const step of await planSteps(key, wanted, leaving, desk)) desk.stepping(key, step);
  return {};
}

async function planSteps<O>(
  key: string,
  wanted: Balancer | undefined,
  leaving: Intent['leaving'],
  { provider, now }: Desk<O>,
): Promise<readonly Step[]> {
  const observed = await provider.observe(key, wanted);
  return provider.plan(
    wanted,
    observed,
    now(),
    leaving.map(({ service }) => service),
  );
}

interface Applied {
  readonly steps: readonly Step[];
  /** When the first step that had to wait may be tried. */
  readonly waitMs: number;
}

const NOTHING_APPLIED: Applied = { steps: [], waitMs: Number.POSITIVE_INFINITY };

async function applySteps<O>(
  key: string,
  wanted: Balancer | undefined,
  leaving: Intent['leaving'],
  desk: Desk<O>,
): Promise<Applied> {
  return applyAll(key, await planSteps(key, wanted, leaving, desk), desk);
}

/** Up to the first one that has to wait. */
async function applyAll<O>(key: string, planned: readonly Step[], desk: Desk<O>): Promise<Applied> {
  const steps: Step[] = [];
  for (const step of planned) {
    if (step.waitsFor)
      return { steps, waitMs: step.waitsFor.until === undefined ? POLL_MS : Math.max(0, step.waitsFor.until - desk.now()) };
    if (!desk.mayWrite()) throw new NotLeader('the Lease is not held');
    desk.stepping(key, step);
    await applyStep(step, desk);
    steps.push(step);
  }
  return { steps, waitMs: Number.POSITIVE_INFINITY };
}

async function applyStep<O>(step: Step, desk: Desk<O>): Promise<void> {
  try {
    await desk.provider.apply(step); // one call, safe to repeat
    desk.applied(step, undefined);
  } catch (thrown) {
    desk.applied(step, thrown);
    throw thrown;
  }
}

async function refuseAll<O>(refused: Intent['refused'], desk: Desk<O>): Promise<number> {
  let renewMs = Number.POSITIVE_INFINITY;
  for (const { service, refusal } of refused) {
    if (desk.dryRun) {
      desk.stepping(nameOf(service), { kind: 'refuse', summary: refusal.message, reason: refusal.code, disrupts: false });
      continue;
    }
    const answer = await desk.writer.say(service, sayRefused(refusal));
    if (answer) renewMs = Math.min(renewMs, desk.writer.sayNotReady(answer, refusal));
  }
  return renewMs;
}

/** What the pass has brought about. */
interface News {
  readonly steps: readonly Step[];
  /** Defaults that applied. */
  readonly choices: readonly string[];
}

async function publish<O>(
  services: readonly Service[],
  wanted: Balancer,
  report: Report,
  intent: Intent,
  news: News,
  desk: Desk<O>,
): Promise<number> {
  const marks = sayMarks(desk.holder, wanted.address.held);
  const renewals = await forAll(services, async (service) => {
    const said = sayBoth(marks, sayServed(service, wanted, report, intent.portRefusals));
    const rival = desk.truce.yieldTo(service, said);
    if (rival) return await yieldTo(rival, service, marks, desk);
    const answer = await desk.writer.say(service, said);
    if (!answer) return Number.POSITIVE_INFINITY;
    if (said.condition?.status === 'True') tellState(service, answer, said.condition, report, desk);
    return tellServed(service, answer, said, news, desk);
  });
  return Math.min(Number.POSITIVE_INFINITY, ...renewals);
}

/** What the other has published stands, and people are told; what we have made stays, in case the other gives up. */
async function yieldTo<O>(
  rival: { readonly manager: string; readonly forMs: number },
  service: Service,
  marks: Said,
  desk: Desk<O>,
): Promise<number> {
  const subject = `${rival.manager} writes the status of this Service, too, again and again, so that its address is left to it`;
  const refusal = new Refusal('RivalController', subject);
  const answer = await desk.writer.say(service, sayBoth(marks, sayRefused(refusal)));
  if (!answer) return Number.POSITIVE_INFINITY;
  return Math.min(rival.forMs, desk.writer.sayNotReady(answer, refusal));
}

/** What serves, though not as its author may think; the condition before remembers what has been told. */
function tellState<O>(before: Service, after: Service, verdict: Verdict, { notes = [] }: Report, desk: Desk<O>): void {
  const had = conditionOf(before);
  if (notes.some(({ message }) => had?.status !== 'True' || !had.message.includes(message))) {
    desk.writer.event(after, 'Warning', 'LoadBalancerNotes', sayNotes(notes));
  }
  if (verdict.reason === 'Degraded' && had?.reason !== 'Degraded') {
    desk.writer.event(after, 'Warning', 'DegradedLoadBalancer', verdict.message); // from now on the condition follows
  }
}

function tellServed<O>(before: Service, after: Service, said: Said, { steps, choices }: News, desk: Desk<O>): number {
  const verdict = said.condition;
  if (!verdict) return Number.POSITIVE_INFINITY;
  if (verdict.status === 'True') {
    if (!isReady(before)) desk.writer.event(after, 'Normal', 'EnsuredLoadBalancer', verdict.message);
    else if (steps.length > 0) desk.writer.event(after, 'Normal', 'UpdatedLoadBalancer', summarise(steps));
    desk.writer.becameReady(after.uid);
    return Number.POSITIVE_INFINITY;
  }
  if (verdict.reason === 'Provisioning') {
    const text = [verdict.message, ...choices.map((choice) => `${choice}.`)].join(' ');
    desk.writer.eventOnce(after, 'Normal', 'EnsuringLoadBalancer', text);
    return POLL_MS;
  }
  return desk.writer.sayNotReady(after, { code: verdict.reason, message: verdict.message });
}

/** How many steps an event names before it only counts them. */
const NAMED_STEPS = 3;

function summarise(steps: readonly Step[]): string {
  const named = steps.slice(0, NAMED_STEPS).map((step) => step.summary);
  const more = steps.length - named.length;
  return `${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}

/** A Service's marks go only when no listener of its UID is left. */
async function releaseAll<O>(leaving: Intent['leaving'], report: Report, desk: Desk<O>): Promise<void> {
  await forAll(leaving, async ({ service, why }) => {
    if (!report.gone && report.listeners.some((listener) => listener.uid === service.uid)) {
      desk.writer.eventOnce(service, 'Normal', 'DeletingLoadBalancer', `The load balancer is being removed: ${why}`);
      return;
    }
    const held = service.finalizers.includes(FINALIZER);
    const answer = await desk.writer.say(service, sayGone(service));
    if (held) desk.writer.event(answer ?? service, 'Normal', 'DeletedLoadBalancer', `The load balancer is gone: ${why}`);
    desk.writer.forget(service.uid);
  });
}

/** A held address that somebody else uses is kept, and named: taking it away would cut the clients of both. */
function tellClashes<O>(services: readonly Service[], wanted: Balancer, desk: Desk<O>): void {
  for (const address of wanted.address.held) {
    const by = desk.surroundings.reservedBy(address);
    if (by === undefined || (wanted.address.ofNodes && by.startsWith('node '))) continue;
    const text = `Address ${address} of this load balancer is in use by ${by} too, which may take its traffic.`;
    for (const service of services) desk.writer.eventOnce(service, 'Warning', 'AddressClash', text);
  }
}

/** A Service that is ours and has another's finalizer is worked on by both. */
function tellRivals(services: readonly Service[], writer: Writer): void {
  for (const service of services) {
    const finalizer = service.finalizers.includes(FINALIZER) ? foreignFinalizer(service) : undefined;
    if (finalizer === undefined) continue;
    const text = `Another controller works on this Service, too: it carries the finalizer ${finalizer}. ${cures.RivalController}`;
    writer.eventOnce(service, 'Warning', 'RivalController', text);
  }
}

function tellWarnings(intent: Intent, writer: Writer): void {
  for (const { service, text } of intent.warnings) writer.eventOnce(service, 'Warning', 'AnnotationIgnored', text);
  for (const { service, text } of intent.understood) writer.eventOnce(service, 'Normal', 'AnnotationUnderstood', text);
}
