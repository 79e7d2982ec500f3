import { type KubeApi, KubeError, type Services } from '../kube/api.ts';
import { type Condition, readService, type Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { CONDITION } from './claim.ts';
import { patchFor, type Said } from './status.ts';

/** Events die an hour after they were told, and `kubectl describe service` shows events but no conditions. */
const RENEW_EVENT_MS = 50 * 60_000;

/** Reasons of events, as users know them from Kubernetes' own service controller. */
export type EventReason =
  | 'EnsuringLoadBalancer'
  | 'EnsuredLoadBalancer'
  | 'UpdatedLoadBalancer'
  | 'UnAvailableLoadBalancer'
  | 'SyncLoadBalancerFailed'
  | 'DeletingLoadBalancer'
  | 'DeletedLoadBalancer'
  | 'NodePortOnly'
  | 'AddressClash'
  | 'RivalController'
  | 'AnnotationIgnored'
  | 'AnnotationUnderstood'
  | 'DegradedLoadBalancer'
  | 'LoadBalancerNotes'
  | 'NodeSkipped'
  | 'ControlPlaneNodesUsed';

/** Takes events and writes them in its own time; never throws. */
export interface EventSink {
  tell(
    about: { readonly kind: 'Service' | 'Node'; readonly namespace: string; readonly name: string; readonly uid: string },
    type: 'Normal' | 'Warning',
    reason: EventReason,
    message: string,
  ): void;
}

export interface WriterOptions {
  readonly api: KubeApi;
  readonly services: Services;
  readonly events: EventSink;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Asked before each write: a leader that has lost its Lease writes no more. */
  mayWrite(): boolean;
}

/** All that the controller says on Services goes through here: patches that differ, and events about what changed. */
export interface Writer {
  /** Patches what differs. @returns the Service as it is now; undefined when it has vanished */
  say(service: Service, said: Said): Promise<Service | undefined>;
  /** Whether the API server refused the last patch of this Service for what it is (rights, an admission policy), so that another try is of no use yet. */
  isRefused(uid: string): boolean;
  /** Tells why the Service has no address, when that is news or its event is about to die. @returns ms until it must be renewed */
  sayNotReady(service: Service, why: { readonly code: string; readonly message: string }): number;
  event(service: Service, type: 'Normal' | 'Warning', reason: EventReason, message: string): void;
  /** Like `event`, but the same text about the same Service only once. */
  eventOnce(service: Service, type: 'Normal' | 'Warning', reason: EventReason, message: string): void;
  /** From now on a failure is news again, and so is that the balancer is being made. */
  becameReady(uid: string): void;
  /** The Service has gone, or is ours no more. */
  forget(uid: string): void;
}

/** The object on the server is newer than ours; the watch is about to bring the newer one. */
export class Stale extends Error {
  override readonly name = 'Stale';
}

/** Writes have stopped because the leader's Lease is not held (any more). */
export class NotLeader extends Error {
  override readonly name = 'NotLeader';
}

export function makeWriter(options: WriterOptions): Writer {
  const { api, services, events, now } = options;
  const told = new Map<string, { text: string; at: number }>(); // by UID: at most one entry a Service
  const toldOnce = new Map<string, Map<string, EventReason>>(); // by UID, by text
  const refused = new Set<string>(); // UIDs

  async function say(service: Service, said: Said): Promise<Service | undefined> {
    const patch = patchFor(service, said, new Date(now()).toISOString().replace(/\.\d+Z$/, 'Z'));
    if (patch === undefined) return service;
    if (!options.mayWrite()) throw new NotLeader('the Lease is not held');
    try {
      const answer = readService(
        await api.patch('patchServiceStatus', service.namespace, service.name, patch, 'strategic', options.mayWrite),
      );
      refused.delete(service.uid);
      if (!answer) return undefined;
      services.put(answer);
      return answer;
    } catch (thrown) {
      if (!(thrown instanceof KubeError)) throw thrown;
      if (thrown.status === 404) return undefined;
      if (thrown.reason === 'Withheld') throw new NotLeader(thrown.message, { cause: thrown });
      if (thrown.status === 409) throw new Stale(`${nameOf(service)} was changed by somebody else meanwhile`, { cause: thrown });
      if (isRefusal(thrown)) refused.add(service.uid);
      throw thrown;
    }
  }

  function event(service: Service, type: 'Normal' | 'Warning', reason: EventReason, message: string): void {
    events.tell({ kind: 'Service', namespace: service.namespace, name: service.name, uid: service.uid }, type, reason, message);
  }

  function sayNotReady(service: Service, why: { readonly code: string; readonly message: string }): number {
    const had = told.get(service.uid);
    const due = !had || had.text !== why.message || now() - had.at >= RENEW_EVENT_MS;
    if (due) {
      const [type, reason] = eventFor(why);
      event(service, type, reason, reason === 'NodePortOnly' ? why.message : `${why.code}: ${why.message}`);
      told.set(service.uid, { text: why.message, at: now() });
    }
    return Math.max(1000, told.get(service.uid)!.at + RENEW_EVENT_MS - now());
  }

  return {
    say,
    isRefused: (uid) => refused.has(uid),
    sayNotReady,
    event,
    eventOnce(service, type, reason, message) {
      const texts = toldOnce.get(service.uid) ?? new Map();
      if (texts.has(message) || texts.size >= 100) return;
      if (reason === 'EnsuringLoadBalancer' && [...texts.values()].includes(reason)) return; // later passes know less
      toldOnce.set(service.uid, texts.set(message, reason));
      event(service, type, reason, message);
    },
    becameReady(uid) {
      told.delete(uid);
      for (const [text, reason] of toldOnce.get(uid) ?? []) {
        if (reason === 'EnsuringLoadBalancer') toldOnce.get(uid)?.delete(text);
      }
    },
    forget(uid) {
      told.delete(uid);
      toldOnce.delete(uid);
      refused.delete(uid);
    },
  };
}

/** Not 408 and 429, which are about the moment: nothing was judged. */
function isRefusal({ status }: KubeError): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

function eventFor(why: { readonly code: string }): ['Normal' | 'Warning', EventReason] {
  if (why.code === 'NodePortOnly') return ['Normal', 'NodePortOnly'];
  if (['NoNodes', 'NoHealthyTargets', 'NodesUnreachable'].includes(why.code)) return ['Warning', 'UnAvailableLoadBalancer'];
  return ['Warning', 'SyncLoadBalancerFailed'];
}

/** Whether our condition on the Service says that it serves. */
export function isReady(service: Service): boolean {
  return service.conditions.some((c) => c.type === CONDITION && c.status === 'True');
}

/** Our condition on the Service, as it was said last. */
export function conditionOf(service: Service): Condition | undefined {
  return service.conditions.find((c) => c.type === CONDITION);
}
