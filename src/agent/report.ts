import type { Impairment, TargetState } from '../forwarder/rules.ts';

/** What an agent tells of itself, in a ConfigMap of its own. Pure. */

export const REPORT_VERSION = 1;

export interface AgentReport {
  readonly version: typeof REPORT_VERSION;
  readonly agent: string;
  /** The Kubernetes node that it runs on; absent: a machine outside the cluster. */
  readonly node?: string;
  /** Under these addresses Services are published that have no pool: the node's external addresses, else its internal ones. */
  readonly publish: readonly string[];
  /** Addresses of the machine's interfaces, without loopback. */
  readonly addresses: readonly string[];
  /** Of the rules in force. */
  readonly generation: number;
  /** Listener id to the UID of its Service: everything that is open here, or shall be. */
  readonly holdings: Readonly<Record<string, string>>;
  /** By listener id; what is absent listens at its own port. */
  readonly exceptions: Readonly<Record<string, HoldingException>>;
  /** UIDs of leaving Services of which nothing is open here any more. */
  readonly released: readonly string[];
  /** By `node` or `node:nodePort`; what is absent is healthy, or follows its node. */
  readonly targets: Readonly<Record<string, TargetState>>;
  /** Addresses of pools that this agent holds just now; absent: it takes no part in holding any. */
  readonly held?: readonly string[];
  /** What moves the packets of its listeners; the first is that of all that none of the others names. Absent: not known. */
  readonly paths?: readonly AgentPath[];
  /** Why it does not follow what the controller says. */
  readonly problem?: string;
  /** It has seen that all is being taken down, and its objects go with the orders from now on. */
  readonly retired?: boolean;
}

export interface AgentPath {
  readonly datapath: string;
  /** As the end of "because". */
  readonly why: string;
  /** What holds it back, though it serves. */
  readonly impairment?: Impairment;
  /** Listener ids; absent: all others. */
  readonly of?: readonly string[];
}

export type HoldingException =
  | { readonly state: 'pending' }
  | { readonly state: 'moved'; readonly port: number }
  | { readonly state: 'failed'; readonly code: string; readonly message: string };

/**
 * An object of Kubernetes has at most 1 MiB (etcd's limit is 1.5 MiB): with 10,000 listeners the holdings take about 0.9 MB, and
 * so many targets at most a tenth of it.
 */
export const MAX_TARGETS = 500;
/** So many listeners whose data path is not the usual one are named, for the same reason; the others count as usual. */
export const MAX_UNUSUAL = 1_000;

/** @returns undefined for what no agent of this release writes */
export function readReport(text: string): AgentReport | undefined {
  const raw = parse(text);
  if (!isRecord(raw) || raw['version'] !== REPORT_VERSION || typeof raw['agent'] !== 'string') return undefined;
  return {
    version: REPORT_VERSION,
    agent: raw['agent'],
    ...(typeof raw['node'] === 'string' ? { node: raw['node'] } : {}),
    publish: texts(raw['publish']),
    addresses: texts(raw['addresses']),
    generation: typeof raw['generation'] === 'number' ? raw['generation'] : -1,
    holdings: entries(raw['holdings'], (value): value is string => typeof value === 'string'),
    exceptions: entries(raw['exceptions'], isException),
    released: texts(raw['released']),
    targets: entries(raw['targets'], isTargetState),
    ...(raw['held'] === undefined ? {} : { held: texts(raw['held']) }),
    ...(Array.isArray(raw['paths']) ? { paths: raw['paths'].flatMap(readPath) } : {}),
    ...(typeof raw['problem'] === 'string' ? { problem: raw['problem'] } : {}),
    ...(raw['retired'] === true ? { retired: true } : {}),
  };
}

/** Whether there is no news; when a target's state was learnt is none. */
export function sameReport(a: AgentReport, b: AgentReport): boolean {
  return factsOf(a) === factsOf(b);
}

function factsOf(report: AgentReport): string {
  return JSON.stringify({ ...report, generation: 0 }, (key, value: unknown) => (key === 'asOf' ? undefined : value));
}

function isException(value: unknown): value is HoldingException {
  if (!isRecord(value)) return false;
  if (value['state'] === 'failed') return typeof value['code'] === 'string' && typeof value['message'] === 'string';
  return value['state'] === 'pending' || (value['state'] === 'moved' && Number.isInteger(value['port']));
}

function readPath(value: unknown): readonly AgentPath[] {
  if (!isRecord(value) || typeof value['datapath'] !== 'string' || typeof value['why'] !== 'string') return [];
  const { datapath, why, of, impairment } = value;
  return [{ datapath, why, ...(isImpairment(impairment) ? { impairment } : {}), ...(of === undefined ? {} : { of: texts(of) }) }];
}

function isImpairment(value: unknown): value is Impairment {
  return isRecord(value) && value['code'] === 'ConntrackFull' && typeof value['message'] === 'string';
}

const HEALTH: readonly unknown[] = ['healthy', 'unhealthy', 'unknown', 'draining'];

function isTargetState(value: unknown): value is TargetState {
  return isRecord(value) && HEALTH.includes(value['health']) && typeof value['asOf'] === 'number';
}

function entries<T>(value: unknown, fits: (value: unknown) => value is T): Readonly<Record<string, T>> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, T] => fits(entry[1])));
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
