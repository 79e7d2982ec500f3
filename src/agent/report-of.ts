import type { ListenerState } from '../forwarder/rules.ts';
import type { Link } from '../providers/local/link.ts';
import type { Place } from './place.ts';
import { type AgentPath, type AgentReport, type HoldingException, MAX_TARGETS, MAX_UNUSUAL, REPORT_VERSION } from './report.ts';
import type { VipOutcome } from './vip-duty.ts';
import type { Work } from './work.ts';

export interface Described {
  readonly name: string;
  readonly node?: string;
  readonly place: Place;
  readonly work: Work;
  readonly link: Link;
  readonly vips?: VipOutcome;
  /** Addresses of this machine that another one has, too, and what was seen of it. */
  readonly duplicates: ReadonlyMap<string, string>;
  readonly problem?: string;
  readonly retired?: boolean;
}

/** What the agent tells the controller just now. The same state gives the same text, so that it is written only on change. */
export function describeWork({ name, node, place, work, link, vips, duplicates, problem, retired }: Described): AgentReport {
  const holdings = work.holdings();
  return {
    version: REPORT_VERSION,
    agent: name,
    ...(node === undefined ? {} : { node }),
    publish: [...place.published.keys()],
    addresses: [...place.machine],
    generation: link.generation,
    holdings: sorted(holdings),
    exceptions: describeExceptions(work, link, vips, duplicates),
    released: work.released(),
    targets: Object.fromEntries(link.unhealthy().slice(0, MAX_TARGETS)),
    ...(vips === undefined ? {} : { held: vips.held }),
    ...describePaths(work, link),
    ...(problem === undefined ? {} : { problem }),
    ...(retired ? { retired } : {}),
  };
}

/** The most frequent data path first, and by name what is served otherwise. */
function describePaths(work: Work, link: Link): Pick<AgentReport, 'paths'> {
  const ids = new Map<string, { readonly path: AgentPath; readonly of: string[] }>();
  for (const { id } of work.listeners()) {
    const state = link.state(id);
    if (state?.state !== 'listening') continue;
    const { datapath = 'userspace', why = 'as asked for', impairment } = state;
    const name = `${datapath} ${why}`;
    const had = ids.get(name) ?? { path: { datapath, why, ...(impairment ? { impairment } : {}) }, of: [] };
    had.of.push(id);
    ids.set(name, had);
  }
  const [usual, ...others] = [...ids]
    .sort(([a, x], [b, y]) => y.of.length - x.of.length || (a < b ? -1 : 1))
    .map(([, one]) => one);
  if (!usual) return {};
  let left = MAX_UNUSUAL;
  const named = others.map(({ path, of }) => {
    const some = of.sort().slice(0, left);
    left -= some.length;
    return { ...path, of: some };
  });
  return { paths: [usual.path, ...named] };
}

/**
 * An address that cannot be held here is not served, whatever the forwarder makes ready for it; and what another agent is to serve
 * is no failure of this one.
 */
function describeExceptions(
  work: Work,
  link: Link,
  vips: Described['vips'],
  duplicates: Described['duplicates'],
): Readonly<Record<string, HoldingException>> {
  const found: Record<string, HoldingException> = {};
  for (const { id, port, address } of work.listeners()) {
    const state = link.state(id);
    const failure = vips?.failures.get(address);
    const duplicate = duplicates.get(address);
    if (failure) found[id] = { state: 'failed', code: failure.code, message: failure.message };
    else if (duplicate !== undefined) found[id] = { state: 'failed', code: 'AddressDuplicate', message: duplicate };
    else if (vips?.pending.has(address) || (vips?.standby.has(address) && isAway(state))) found[id] = { state: 'pending' };
    else if (state?.state === 'failed') found[id] = { state: 'failed', code: state.code, message: state.message };
    else if (state?.state !== 'listening') found[id] = { state: 'pending' };
    else if (state.port !== port) found[id] = { state: 'moved', port: state.port };
  }
  return sorted(found);
}

function isAway(state: ListenerState | undefined): boolean {
  return state?.state === 'failed' && state.code === 'AddressUnavailable';
}

function sorted<T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}
