import { type Code, cures } from '../../errors.ts';
import type { ListenerReport, Note, PathReport, Report, TargetReport } from '../../model.ts';
import { ignoredBy } from './delivery.ts';
import type { Observed, ObservedListener, ObservedTarget } from './plan.ts';
import { isServed, type WantedListener } from './rules.ts';

/** Pure. What a person or a status may be told of what is observed. */
export function reportObserved(observed: Observed): Report {
  return {
    addresses: observed.addresses
      .filter((address) => isShown(observed, address))
      .map((ip) => ({ ip, ipMode: isDelivered(observed, ip) ? 'VIP' : 'Proxy' })),
    listeners: [...reportListeners(observed), ...reportLeaving(observed)],
    targets: observed.targets.map((target) => reportTarget(target, observed.at)),
    settled: observed.closing.length === 0 && observed.listeners.every(isSettled),
    gone: [observed.closing, observed.leaving ?? [], observed.listeners, observed.addresses].every((part) => part.length === 0),
    ...noteAll(observed),
    ...reportPaths(observed),
  };
}

/** Of a forwarder that was given one data path alone. */
const AS_ASKED = 'as asked for';
/** A reason is a sentence; what is longer quotes something. */
const MAX_WHY = 300;

/** What serves just now; by its name, not by agent or address, so that a move is no news. */
function reportPaths({ listeners }: Observed): Pick<Report, 'paths'> {
  const paths = new Map<string, PathReport>();
  for (const entry of listeners) {
    const { uid } = entry.listener;
    for (const { datapath, why } of entry.paths ?? pathOf(entry)) {
      const name = `${uid} ${datapath} ${why}`;
      if (!paths.has(name)) paths.set(name, { uid, datapath, why: why.replaceAll(/\s+/g, ' ').slice(0, MAX_WHY) });
    }
  }
  if (paths.size === 0) return {};
  return { paths: [...paths].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path) };
}

/**
 * An address is told once the forwarder has answered for a listener at it, also when the answer is a failure: whether an address
 * at which nothing is served is shown to people is decided where it is known what they were shown before.
 */
function isShown({ listeners, hidden }: Observed, address: string): boolean {
  if (hidden?.includes(address)) return false;
  return listeners.some(({ listener, state }) => listener.address === address && state !== undefined);
}

/** kube-proxy has rules for an address whose ipMode is VIP, and so would take from a forwarder what comes for it. */
function isDelivered({ listeners }: Observed, address: string): boolean {
  return listeners.some(({ listener }) => listener.address === address && listener.delivery === 'kube-proxy');
}

function pathOf({ state }: ObservedListener): NonNullable<ObservedListener['paths']> {
  if (state?.state !== 'listening') return [];
  const { datapath = 'userspace', why = AS_ASKED, impairment } = state;
  return [{ datapath, why, ...(impairment ? { impairment } : {}) }];
}

function isSettled({ listener, state }: ObservedListener): boolean {
  if (!isServed(listener)) return true;
  return state?.state === 'listening' || (state?.state === 'failed' && state.code !== 'ForwarderDown');
}

/**
 * One entry a Service's port, whatever the number of addresses. A failure at one of them is told; where the addresses are the nodes'
 * own, each of which is a way in of its own, only one at all of them.
 */
function reportListeners({ listeners, hidden }: Observed): readonly ListenerReport[] {
  const byPort = new Map<string, ListenerReport>();
  const isWorse = (report: ListenerReport, before: ListenerReport): boolean =>
    (!before.error && report.error !== undefined) || (!before.error && report.servedPort !== undefined && !before.servedPort);
  for (const entry of listeners) {
    const { uid, protocol, port } = entry.listener;
    const name = `${uid} ${port}/${protocol}`;
    const before = byPort.get(name);
    const report = reportListener(entry);
    if (!before || (hidden ? isWorse(before, report) : isWorse(report, before))) byPort.set(name, report);
  }
  return [...byPort.values()];
}

/** What agents may still have open belongs to its Service until they have let go. */
function reportLeaving({ listeners, closing, leaving = [] }: Observed): readonly ListenerReport[] {
  const uids = new Set(listeners.map(({ listener }) => listener.uid));
  return [...closing, ...leaving].filter(({ uid }) => !uids.has(uid)).map(({ uid, protocol, port }) => ({ uid, protocol, port }));
}

function noteAll({ outside = [], hidden, listeners, clashes = [] }: Observed): Pick<Report, 'notes'> {
  const kept = outside.map((address): Note => {
    const cure = 'with the annotation nodeport-lb.io/allow-disruption: "true" it is exchanged for one of a pool';
    return { code: 'AddressNotInPool', message: `${address} is kept although no pool has it for this Service any more; ${cure}` };
  });
  const ignored = listeners.flatMap(({ listener }) => ignoredBy(listener));
  const impaired = listeners.flatMap((entry) => entry.paths ?? pathOf(entry)).flatMap(({ impairment }) => impairment ?? []);
  const taken = clashes.map(
    (message): Note => ({ code: 'PortInUse', message: `${message}; one of the two is not reached there` }),
  );
  const notes = [
    ...distinct(impaired.map((note): Note => ({ ...note, impairs: true }))),
    ...kept,
    ...taken,
    ...(hidden === undefined ? [] : noteFailures(listeners)),
    ...distinct(ignored),
  ];
  return notes.length > 0 ? { notes } : {};
}

/** One note for all listeners of which the same is to be said. */
function distinct(notes: readonly Note[]): readonly Note[] {
  return [...new Map(notes.map((note) => [note.message, note])).values()];
}

/** What fails at some of the nodes, and holds up nothing. */
function noteFailures(listeners: readonly ObservedListener[]): readonly Note[] {
  const isUp = (listener: WantedListener): boolean =>
    listeners.some(
      ({ listener: l, state }) => l.uid === listener.uid && portOf(l) === portOf(listener) && state?.state === 'listening',
    );
  return listeners.flatMap(({ listener, state }) =>
    state?.state === 'failed' && isUp(listener) ? [{ code: state.code, message: `${listener.address}: ${state.message}` }] : [],
  );
}

function portOf({ port, protocol }: WantedListener): string {
  return `${port}/${protocol}`;
}

function reportListener({ listener, state }: ObservedListener): ListenerReport {
  const { uid, protocol, port } = listener;
  const base = { uid, protocol, port };
  if (listener.refusal) return { ...base, error: describeError(listener.refusal.code, listener.refusal.message) };
  if (state?.state === 'failed') return { ...base, error: describeError(state.code, state.message) };
  if (state?.state === 'listening' && state.port !== port) return { ...base, servedPort: state.port };
  return base;
}

function describeError(code: Code, what: string): ListenerReport['error'] {
  return { code, message: `${what}. ${cures[code]}` };
}

function reportTarget({ node, nodePort, state }: ObservedTarget, at: number): TargetReport {
  if (!state) return { node, port: nodePort, health: 'unknown', reason: 'not checked yet', asOf: at };
  return {
    node,
    port: nodePort,
    health: state.health,
    ...(state.reason === undefined ? {} : { reason: state.reason }),
    ...(state.unreachable ? { unreachable: true } : {}),
    asOf: state.asOf,
  };
}
