import { performance } from 'node:perf_hooks';
import { zeroCounters } from './counters.ts';
import { Health } from './health.ts';
import { listenerProblems } from './problems.ts';
import { Reports } from './reports.ts';
import type {
  Forwarder,
  ForwarderCounters,
  ForwarderReport,
  ListenerState,
  ListenFailure,
  RuleListener,
  Rules,
  RulesChange,
} from './rules.ts';
import { emptyTable, type RulesTable, revise } from './table.ts';
import { Nodes } from './targets.ts';
import { bestWiring } from './wire-raw.ts';

export interface BystanderOptions {
  onReport(report: ForwarderReport): void;
  /** Ceiling of all health checks together; default: MAX_PROBES_PER_SECOND. */
  readonly probesPerSecond?: number;
}

/**
 * The forwarder of machines on which kube-proxy delivers by itself what comes for a balancer's address: it opens no socket and loads
 * no rule. What is left is to look after the targets, and to say of each listener that it is served, or why it cannot be.
 */
export function startBystander(options: BystanderOptions): Bystander {
  return new Bystander(options);
}

const NOTHING: ForwarderCounters = { sum: zeroCounters, listeners: {} };
const WHY = 'as asked for';

/** Why nothing is delivered on this machine. */
export interface DeliveryFault {
  readonly code: ListenFailure;
  readonly message: string;
}

class Bystander implements Forwarder {
  readonly #nodes = new Nodes();
  readonly #reports: Reports;
  readonly #health: Health;
  #table: RulesTable = emptyTable;
  #fault: DeliveryFault | undefined;

  constructor({ onReport, probesPerSecond }: BystanderOptions) {
    this.#reports = new Reports(onReport);
    this.#health = new Health({
      nodes: this.#nodes,
      wiring: bestWiring(),
      reports: this.#reports,
      nowMs: () => performance.now(),
      now: Date.now,
      ...(probesPerSecond === undefined ? {} : { probesPerSecond }),
    });
  }

  apply(next: Rules | RulesChange): void {
    const former = this.#table;
    const { table, revision } = revise(former, next);
    this.#table = table;
    for (const id of revision.nodes) this.#nodes.put(id, table.nodes.get(id));
    if (revision.nodes.size > 0 || revision.nodeSets.size > 0) {
      this.#nodes.resolveSets(table.nodeSets, former.nodeSets);
      this.#health.nodesChanged(revision.nodes);
    }
    for (const id of revision.listeners) this.#look(id, table.listeners.get(id));
    this.#reports.generation(table.generation);
  }

  /** From now on nothing is delivered here, and why; undefined: everything is again. */
  judge(fault: DeliveryFault | undefined): void {
    this.#fault = fault;
    for (const rule of this.#table.listeners.values()) this.#tell(rule);
  }

  /** Nothing of ours is under way, so there is nothing to wait for. */
  async close(): Promise<void> {
    this.#health.stop();
    for (const id of this.#table.listeners.keys()) this.#reports.listener(id, null);
    this.#reports.flush();
  }

  /** What goes through is kube-proxy's to count. */
  async counters(): Promise<ForwarderCounters> {
    return NOTHING;
  }

  #look(id: string, rule: RuleListener | undefined): void {
    if (rule && !problemsOf(rule)) this.#health.watch(rule);
    else this.#health.unwatch(id);
    if (rule) this.#tell(rule);
    else this.#reports.listener(id, null);
  }

  #tell(rule: RuleListener): void {
    const fault = problemsOf(rule) ?? this.#fault;
    this.#reports.listener(rule.id, fault ? { state: 'failed', ...fault } : served(rule));
  }
}

function served({ address, port }: RuleListener): ListenerState {
  return { state: 'listening', address, port, datapath: 'kube-proxy', why: WHY };
}

/** Pure. What is wrong with the rule itself. */
function problemsOf(rule: RuleListener): DeliveryFault | undefined {
  if (rule.proxyProtocol !== undefined) {
    const message = 'the PROXY protocol is written by userspace, and kube-proxy delivers what comes here';
    return { code: 'ProtocolUnsupported', message };
  }
  const problems = listenerProblems(rule);
  return problems.length > 0 ? { code: 'SyncFailed', message: problems.join('; ') } : undefined;
}
