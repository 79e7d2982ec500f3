import { cures } from '../../errors.ts';
import type { ListenFailure } from '../../forwarder/rules.ts';
import type { ListenerReport, Report, TargetReport } from '../../model.ts';
import type { Observed, ObservedListener, ObservedTarget } from './plan.ts';
import { isCarried } from './rules.ts';

/** Pure. What a person or a status may be told of what is observed. */
export function reportObserved(observed: Observed): Report {
  return {
    addresses: observed.addresses.filter((address) => isAnswered(observed, address)).map((ip) => ({ ip, ipMode: 'Proxy' })),
    listeners: reportListeners(observed.listeners),
    targets: observed.targets.map((target) => reportTarget(target, observed.at)),
    settled: observed.closing.length === 0 && observed.listeners.every(isSettled),
    gone: observed.closing.length === 0 && observed.listeners.length === 0 && observed.addresses.length === 0,
  };
}

/**
 * An address is told once the forwarder has answered for a listener at it, also when the answer is a failure: whether an address
 * at which nothing is served is shown to people is decided where it is known what they were shown before.
 */
function isAnswered({ listeners }: Observed, address: string): boolean {
  return listeners.some(({ listener, state }) => listener.address === address && state !== undefined);
}

function isSettled({ listener, state }: ObservedListener): boolean {
  if (!isCarried(listener.protocol)) return true;
  return state?.state === 'listening' || (state?.state === 'failed' && state.code !== 'ForwarderDown');
}

/** One entry a Service's port, whatever the number of addresses; a failure at one of them is told. */
function reportListeners(listeners: readonly ObservedListener[]): readonly ListenerReport[] {
  const byPort = new Map<string, ListenerReport>();
  for (const entry of listeners) {
    const { uid, protocol, port } = entry.listener;
    const name = `${uid} ${port}/${protocol}`;
    const before = byPort.get(name);
    const report = reportListener(entry);
    if (!before || (!before.error && (report.error || (report.servedPort && !before.servedPort)))) byPort.set(name, report);
  }
  return [...byPort.values()];
}

function reportListener({ listener, state }: ObservedListener): ListenerReport {
  const { uid, protocol, port } = listener;
  const base = { uid, protocol, port };
  if (!isCarried(protocol)) {
    return {
      ...base,
      error: describeError('ProtocolUnsupported', 'this version of the local provider forwards TCP and UDP only'),
    };
  }
  if (state?.state === 'failed') return { ...base, error: describeError(state.code, state.message) };
  if (state?.state === 'listening' && state.port !== port) return { ...base, servedPort: state.port };
  return base;
}

function describeError(code: ListenFailure, what: string): ListenerReport['error'] {
  return { code, message: `${what}. ${cures[code]}` };
}

function reportTarget({ node, nodePort, state }: ObservedTarget, at: number): TargetReport {
  if (!state) return { node, port: nodePort, health: 'unknown', reason: 'not checked yet', asOf: at };
  return {
    node,
    port: nodePort,
    health: state.health,
    ...(state.reason === undefined ? {} : { reason: state.reason }),
    asOf: state.asOf,
  };
}
