import { isIPv6 } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { Impairment, TargetState } from '../../forwarder/rules.ts';
import type { Balancer, NodeTarget, Step } from '../../model.ts';
import {
  findNodes,
  isServed,
  type RenderOptions,
  renderListeners,
  type ServedState,
  sameNodes,
  type WantedListener,
} from './rules.ts';

/** What exists of one balancer. A snapshot: nothing in it changes later. */
export interface Observed {
  readonly key: string;
  /** Milliseconds since the epoch, when the snapshot was taken. */
  readonly at: number;
  /** What the allocator keeps for it. */
  readonly addresses: readonly string[];
  readonly listeners: readonly ObservedListener[];
  /** Listeners that were told to close and may still accept connections. */
  readonly closing: readonly WantedListener[];
  /** Listeners that agents elsewhere are closing, and that need no further step. */
  readonly leaving?: readonly WantedListener[];
  /** What is held although no pool has it any more, for people: address and pools. */
  readonly outside?: readonly string[];
  /** Addresses of nodes that serve nothing just now: held, and not told to people. */
  readonly hidden?: readonly string[];
  /** Ports at the nodes that have become other Services' NodePorts since they are served here, as sentences. */
  readonly clashes?: readonly string[];
  readonly targets: readonly ObservedTarget[];
}

export interface ObservedListener {
  readonly listener: WantedListener;
  readonly nodes: readonly NodeTarget[];
  /** Undefined: the forwarder has not answered yet. */
  readonly state?: ServedState;
  /** What moves its packets, where several do; absent: what `state` says. */
  readonly paths?: readonly { readonly datapath: string; readonly why: string; readonly impairment?: Impairment }[];
}

export interface ObservedTarget {
  readonly node: string;
  readonly nodePort: number;
  readonly state?: TargetState;
}

export type LocalStep = ListenerStep | CloseStep | ReleaseStep;

interface ListenerStep extends Step {
  /** `refuse-listener`: a port that cannot be carried, remembered so that it is reported. */
  readonly kind: 'open-listener' | 'update-listener' | 'refuse-listener';
  readonly listener: WantedListener;
  readonly nodes: readonly NodeTarget[];
}

interface CloseStep extends Step {
  readonly kind: 'close-listener';
  readonly listener: WantedListener;
}

interface ReleaseStep extends Step {
  readonly kind: 'release-addresses';
  readonly key: string;
}

/** Pure. New listeners first, then changes, then what goes: a client that may move finds the new way in before the old one closes. */
export function planSteps(wanted: Balancer | undefined, observed: Observed, options: RenderOptions): readonly LocalStep[] {
  const listeners = wanted ? renderListeners(wanted, options) : [];
  const nodesOf = wanted ? findNodes(wanted) : () => [];
  const ids = new Set(listeners.map((listener) => listener.id));
  const had = new Map(observed.listeners.map((entry) => [entry.listener.id, entry]));
  const opened: LocalStep[] = [];
  const updated: LocalStep[] = [];
  for (const listener of listeners) {
    const before = had.get(listener.id);
    had.delete(listener.id);
    const nodes = nodesOf(listener);
    if (!before) opened.push(openStep(listener, nodes));
    else updated.push(...updateSteps(before, listener, nodes));
  }
  const why = wanted ? 'nothing asks for it any more' : 'no Service wants this balancer any more';
  const unfinished = observed.closing.filter((listener) => !ids.has(listener.id));
  const closed = [...[...had.values()].map(({ listener }) => listener), ...unfinished].map((listener) =>
    closeStep(listener, why),
  );
  return [...opened, ...updated, ...closed, ...releaseSteps(wanted, observed, why)];
}

function openStep(listener: WantedListener, nodes: readonly NodeTarget[]): LocalStep {
  const reason = `${listener.service} asks for it`;
  if (!isServed(listener)) {
    const summary = `${where(listener)} cannot be served: ${listener.refusal?.message}`;
    return { kind: 'refuse-listener', summary, reason, disrupts: false, listener, nodes };
  }
  const summary =
    listener.delivery === undefined
      ? `listen on ${where(listener)} and forward to port ${listener.nodePort} of ${countNodes(nodes)}`
      : `have ${listener.delivery} of ${countNodes(nodes)} deliver ${where(listener)}`;
  return { kind: 'open-listener', summary, reason, disrupts: false, listener, nodes };
}

function updateSteps(before: ObservedListener, listener: WantedListener, nodes: readonly NodeTarget[]): readonly LocalStep[] {
  const changes = changedFields(before.listener, listener);
  const moved = !sameNodes(before.nodes, nodes);
  if (changes.length === 0 && !moved) return [];
  const names = new Set(nodes.map((node) => node.name));
  const lost = before.nodes.filter((node) => !names.has(node.name)).map((node) => node.name);
  const what = [...changes, ...(moved ? [describeMove(before.nodes, nodes)] : [])].join(', ');
  return [
    {
      kind: 'update-listener',
      summary: `change ${where(listener)}: ${what}`,
      reason:
        changes.length > 0
          ? `${listener.service} has changed`
          : `the nodes ${listener.localOnly ? 'or endpoints ' : ''}have changed`,
      disrupts: lost.length > 0 || before.listener.nodePort !== listener.nodePort,
      listener,
      nodes,
    },
  ];
}

/** Established connections go on inside the forwarder for the drain time; the address can be given to nobody before this. */
function closeStep(listener: WantedListener, reason: string): LocalStep {
  const summary =
    listener.delivery === undefined
      ? `stop listening on ${where(listener)}; open connections have ${listener.drainMs / 1_000} s to finish`
      : `have ${listener.delivery} deliver ${where(listener)} no more`;
  return { kind: 'close-listener', summary, reason, disrupts: isServed(listener), listener };
}

function releaseSteps(wanted: Balancer | undefined, { key, addresses }: Observed, reason: string): readonly LocalStep[] {
  if (wanted || addresses.length === 0) return [];
  return [{ kind: 'release-addresses', summary: `give back ${addresses.join(', ')}`, reason, disrupts: false, key }];
}

function changedFields(before: WantedListener, after: WantedListener): readonly string[] {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof WantedListener)[];
  return fields
    .filter((field) => !isDeepStrictEqual(before[field], after[field]))
    .map((field) => `${field} ${show(before[field])} -> ${show(after[field])}`);
}

function describeMove(before: readonly NodeTarget[], after: readonly NodeTarget[]): string {
  const had = new Set(before.map((node) => node.name));
  const has = new Set(after.map((node) => node.name));
  const came = after.filter((node) => !had.has(node.name)).map((node) => `+${node.name}`);
  const went = before.filter((node) => !has.has(node.name)).map((node) => `-${node.name}`);
  const both = [...came, ...went];
  if (both.length === 0) return 'addresses of nodes';
  const more = both.length > 3 ? ` and ${both.length - 3} more` : '';
  return `nodes ${before.length} -> ${after.length} (${both.slice(0, 3).join(' ')}${more})`;
}

function show(value: unknown): string {
  return value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);
}

/** `TCP 10.0.0.5:80`, for people. */
export function where({ protocol, address, port }: Pick<WantedListener, 'protocol' | 'address' | 'port'>): string {
  return `${protocol} ${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

function countNodes(nodes: readonly NodeTarget[]): string {
  return nodes.length === 1 ? '1 node' : `${nodes.length} nodes`;
}
