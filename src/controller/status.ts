import { type Code, cures, type Refusal } from '../errors.ts';
import type { Condition, Ingress, Service } from '../kube/objects.ts';
import { type Balancer, type ListenerReport, type Note, nodesBehind, type Report, type TargetReport } from '../model.ts';
import {
  CONDITION,
  DATAPATH,
  FINALIZER,
  HELD_ADDRESSES,
  HELD_BY,
  heldAddresses,
  OUR_ANNOTATIONS,
  SERVED_PORTS,
  TARGETS,
} from './claim.ts';
import type { PortRefusal } from './intent.ts';

/** Everything that we say on a Service; what it does not name is left as it is. */
export interface Said {
  /** Undefined: not touched. */
  readonly ingress?: readonly Ingress[];
  /** Undefined: not touched; null: ours is removed. */
  readonly condition?: Verdict | null;
  /** Null removes one. */
  readonly annotations?: Readonly<Record<string, string | null>>;
  /** Undefined: not touched. */
  readonly finalizer?: boolean;
}

export interface Verdict {
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** Longest message of a metav1.Condition. @see https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#Condition */
const MESSAGE_MAX = 32_768;
/** How many unhealthy targets a message names before it only counts them. */
const NAMED_TARGETS = 3;
/** How many data paths of one Service are told. */
const NAMED_PATHS = 4;

/** Said of every Service that has a balancer, no later than its address. */
export function sayMarks(holder: string, addresses: readonly string[]): Said {
  return { finalizer: true, annotations: { [HELD_BY]: holder, [HELD_ADDRESSES]: addresses.join(',') || null } };
}

/** Said in one patch before the first provider write, so that a crash cannot leak what is made next. */
export function sayHeld(holder: string, addresses: readonly string[]): Said {
  return {
    ...sayMarks(holder, addresses),
    condition: { status: 'False', reason: 'Provisioning', message: 'The load balancer is being made.' },
  };
}

/** Both in one patch. */
export function sayBoth(one: Said, other: Said): Said {
  return { ...one, ...other, annotations: { ...one.annotations, ...other.annotations } };
}

/** Said once nothing of the balancer is left. Addresses that another controller has published meanwhile stay. */
export function sayGone(service: Service): Said {
  const held = heldAddresses(service);
  const oursOnly = service.ingress.every((entry) => held.includes(entry.ip ?? entry.hostname ?? ''));
  return {
    finalizer: false,
    ...(oursOnly ? { ingress: [] } : {}),
    condition: null,
    annotations: Object.fromEntries(OUR_ANNOTATIONS.map((name) => [name, null])),
  };
}

/** Said when the Service cannot be served as it is written; what it has is left alone. */
export function sayRefused(refusal: Refusal): Said {
  return { condition: { status: 'False', reason: refusal.code, message: refusal.message } };
}

/** Said of a Service that has a balancer: its addresses, and whether they serve. */
export function sayServed(service: Service, wanted: Balancer, report: Report, refusals: readonly PortRefusal[]): Said {
  const listeners = listenersFor(service, report, refusals);
  const addresses = publishedAddresses(service, report, listeners);
  const isElsewhere = report.elsewhere?.includes(service.uid) ?? false;
  const ingress = isElsewhere ? service.ingress : addresses.map((address) => ({ ...address, ports: listeners.map(portStatus) }));
  const health = countTargets(service, wanted, report.targets);
  return {
    ingress,
    condition: judge(wanted, report, ingress, listeners, health),
    annotations: {
      [TARGETS]: isAsUsual(health, wanted) ? null : `${health.total - health.unhealthy.length}/${health.total}`,
      [SERVED_PORTS]: servedPorts(listeners) || null,
      ...sayPaths(service, report.paths),
    },
  };
}

function judge(
  wanted: Balancer,
  report: Report,
  ingress: readonly Ingress[],
  listeners: readonly ListenerReport[],
  health: Health,
): Verdict {
  const failed = listeners.filter((l) => l.error);
  if (failed.length > 0) return { status: 'False', reason: failed[0]!.error!.code, message: sayFailures(failed) };
  if (ingress.length === 0 || !report.settled) {
    return { status: 'False', reason: 'Provisioning', message: 'The load balancer is being made.' };
  }
  const { notes = [] } = report;
  const impairing = notes.find(({ impairs }) => impairs);
  const added = notes.map(({ code, message, impairs }) => ` ${impairs ? `${code}: ` : ''}${message}.`).join('');
  const where = `Serving on ${ingress.map((i) => i.ip ?? i.hostname).join(', ')}`;
  if (wanted.nodes.length === 0) return fail('NoNodes', `${where}, but no node may be a target`);
  if (health.total === 0) return fail('NoHealthyTargets', `${where}, but ${sayNoEndpoint(wanted)}`);
  if (health.unhealthy.length === 0)
    return { status: 'True', reason: impairing?.code ?? 'Ready', message: `${where}${sayMoved(listeners)}.${added}` };
  const sick = `${health.unhealthy.length} of ${health.total} targets ${health.unhealthy.length === 1 ? 'is' : 'are'} unhealthy: ${nameSick(health.unhealthy)}`;
  if (health.unhealthy.length === health.total) return fail(whyNone(health.unhealthy), `${where}, but ${sick}`);
  return { status: 'True', reason: 'Degraded', message: `${where}${sayMoved(listeners)}; ${sick}.${added}` };
}

/** Pure. One text for all of them, with the cures; empty when there is nothing to say. */
export function sayNotes(notes: readonly Note[] = []): string {
  return notes.map(({ code, message }) => `${message}. ${code in cures ? cures[code as Code] : ''}`.trim()).join(' ');
}

/** Nodes from which nothing was ever heard are no fault of theirs, as a rule: a laptop has no way to them. */
function whyNone(unhealthy: readonly TargetReport[]): Code {
  return unhealthy.every(({ unreachable }) => unreachable) ? 'NodesUnreachable' : 'NoHealthyTargets';
}

function fail(code: Code, subject: string): Verdict {
  return { status: 'False', reason: code, message: `${subject}. ${cures[code]}` };
}

function sayFailures(failed: readonly ListenerReport[]): string {
  return failed.map((l) => `Port ${l.port}/${l.protocol}: ${l.error!.message}`).join(' ');
}

function sayMoved(listeners: readonly ListenerReport[]): string {
  const moved = listeners.filter((l) => l.servedPort !== undefined && l.servedPort !== l.port);
  return moved.length === 0 ? '' : ` (${moved.map((l) => `port ${l.port}/${l.protocol} on port ${l.servedPort}`).join(', ')})`;
}

function servedPorts(listeners: readonly ListenerReport[]): string {
  return listeners
    .filter((l) => l.servedPort !== undefined && l.servedPort !== l.port)
    .map((l) => `${l.port}/${l.protocol}=${l.servedPort}`)
    .join(',');
}

/** Nothing is said while nothing is known, as when a forwarder is being started again. */
function sayPaths({ uid }: Service, paths: Report['paths'] = []): Record<string, string> {
  const own = paths.filter((path) => path.uid === uid).slice(0, NAMED_PATHS);
  return own.length === 0 ? {} : { [DATAPATH]: own.map(({ datapath, why }) => `${datapath}: ${why}`).join('\n') };
}

/** The Service's own listeners in the order of its ports, with what was refused before the provider saw it. */
function listenersFor(service: Service, report: Report, refusals: readonly PortRefusal[]): readonly ListenerReport[] {
  const reported = report.listeners.filter((l) => l.uid === service.uid);
  return service.ports.flatMap((port): ListenerReport | readonly ListenerReport[] => {
    const same = (l: { port: number; protocol: string }) => l.port === port.port && l.protocol === port.protocol;
    const refusal = refusals.find((r) => r.uid === service.uid && same(r));
    if (refusal) {
      const error = { code: refusal.refusal.code, message: refusal.refusal.message };
      return { uid: service.uid, port: port.port, protocol: port.protocol, error };
    }
    return reported.find(same) ?? [];
  });
}

/** Addresses are published once a port is served; published ones stay while a failure is being mended. */
function publishedAddresses(service: Service, report: Report, listeners: readonly ListenerReport[]): Report['addresses'] {
  if (listeners.some((l) => !l.error)) return report.addresses;
  return report.addresses.filter((a) => service.ingress.some((i) => i.ip === a.ip && i.hostname === a.hostname));
}

/** Errors of our own carry our prefix. @see https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/ (PortStatus) */
function portStatus(listener: ListenerReport): { port: number; protocol: string; error?: string } {
  const error = listener.error ? { error: `nodeport-lb.io/${listener.error.code}` } : {};
  return { port: listener.port, protocol: listener.protocol, ...error };
}

function sayNoEndpoint({ nodes }: Balancer): string {
  const none = nodes.length === 1 ? 'its only node has no endpoint' : `none of its ${nodes.length} nodes has an endpoint`;
  return `${none} that is ready, and under externalTrafficPolicy: Local no other node may get traffic`;
}

/** Every node may be a target, and all are well: so `status` takes it where nothing else is on record. */
function isAsUsual({ total, unhealthy }: Health, { nodes }: Balancer): boolean {
  return unhealthy.length === 0 && total === nodes.length;
}

interface Health {
  /** Of nodes that may be targets, under policy Local only those that are known to have an endpoint. */
  readonly total: number;
  readonly unhealthy: readonly TargetReport[];
}

/** A node counts as unhealthy when any of the Service's own ports that was checked on it is, or the node as a whole. */
function countTargets(service: Service, wanted: Balancer, targets: readonly TargetReport[]): Health {
  const nodes = targetsOf(service, wanted);
  const total = nodes.length;
  const unwell = targets.filter(({ health }) => health === 'unhealthy');
  if (unwell.length === 0) return { total, unhealthy: [] };
  const names = new Set(nodes.map(({ name }) => name));
  const ports = new Set<number | undefined>([undefined, ...service.ports.map((port) => port.nodePort)]);
  const sick = new Map<string, TargetReport>();
  for (const target of unwell) {
    if (!ports.has(target.port)) continue; // of another member of the share group
    if (names.has(target.node) && !sick.has(target.node)) sick.set(target.node, target);
  }
  return { total, unhealthy: [...sick.values()].sort((a, b) => (a.node < b.node ? -1 : 1)) };
}

/** The nodes that any port of the Service sends to. */
function targetsOf({ uid }: Service, wanted: Balancer): Balancer['nodes'] {
  const own = wanted.listeners.filter((listener) => listener.service.uid === uid);
  if (own.every(({ targetGroup }) => targetGroup.endpointNodes === undefined)) return wanted.nodes;
  const names = new Set(own.flatMap((listener) => nodesBehind(wanted, listener).map(({ name }) => name)));
  return wanted.nodes.filter(({ name }) => names.has(name));
}

function sayTime(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}

function nameSick(unhealthy: readonly TargetReport[]): string {
  const named = unhealthy.slice(0, NAMED_TARGETS).map((target) => {
    const said = [target.reason ?? '', target.isRead ? `read at ${sayTime(target.asOf)}` : ''].filter((text) => text !== '');
    return said.length > 0 ? `${target.node} (${said.join(', ')})` : target.node;
  });
  const more = unhealthy.length - named.length;
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
}

/**
 * The strategic merge patch that brings the Service to what is said, or undefined when it is so already. It carries UID and
 * resourceVersion, so that it never lands on a namesake or on a newer object.
 * @param now RFC 3339, for a condition that changes its status
 */
export function patchFor(service: Service, said: Said, now: string): object | undefined {
  const metadata = metadataPatch(service, said);
  const status = statusPatch(service, said, now);
  if (Object.keys(metadata).length === 0 && Object.keys(status).length === 0) return undefined;
  return {
    metadata: { uid: service.uid, resourceVersion: service.resourceVersion, ...metadata },
    ...(Object.keys(status).length > 0 ? { status } : {}),
  };
}

function metadataPatch(service: Service, said: Said): Record<string, unknown> {
  const annotations = Object.entries(said.annotations ?? {}).filter(
    ([name, value]) => (service.annotations[name] ?? null) !== value,
  );
  const held = service.finalizers.includes(FINALIZER);
  return {
    ...(annotations.length > 0 ? { annotations: Object.fromEntries(annotations) } : {}),
    ...(said.finalizer === true && !held ? { finalizers: [FINALIZER] } : {}),
    ...(said.finalizer === false && held ? { '$deleteFromPrimitiveList/finalizers': [FINALIZER] } : {}),
  };
}

function statusPatch(service: Service, said: Said, now: string): Record<string, unknown> {
  const condition = conditionPatch(service, said.condition, now);
  const differs = said.ingress !== undefined && !sameIngress(service.ingress, said.ingress);
  return {
    ...(differs ? { loadBalancer: { ingress: said.ingress!.length > 0 ? said.ingress : null } } : {}),
    ...(condition ? { conditions: [condition] } : {}),
  };
}

function conditionPatch(service: Service, verdict: Verdict | null | undefined, now: string): object | undefined {
  if (verdict === undefined) return undefined;
  const had = service.conditions.find((c) => c.type === CONDITION);
  if (verdict === null) return had ? { type: CONDITION, $patch: 'delete' } : undefined;
  const message = verdict.message.slice(0, MESSAGE_MAX);
  if (had && sameVerdict(had, { ...verdict, message }, service.generation)) return undefined;
  return {
    type: CONDITION,
    status: verdict.status,
    reason: verdict.reason,
    message,
    lastTransitionTime: had?.status === verdict.status && had.lastTransitionTime !== '' ? had.lastTransitionTime : now,
    ...(service.generation === undefined ? {} : { observedGeneration: service.generation }),
  };
}

function sameVerdict(had: Condition, verdict: Verdict, generation: number | undefined): boolean {
  const same = had.status === verdict.status && had.reason === verdict.reason && had.message === verdict.message;
  return same && had.observedGeneration === generation;
}

/** The order of entries and of ports counts: it is what users see. */
export function sameIngress(had: readonly Ingress[], wanted: readonly Ingress[]): boolean {
  return JSON.stringify(had.map(plainIngress)) === JSON.stringify(wanted.map(plainIngress));
}

function plainIngress(entry: Ingress): unknown {
  return [entry.ip, entry.hostname, entry.ipMode, (entry.ports ?? []).map((p) => [p.port, p.protocol, p.error])];
}
