import type {
  Forwarder,
  ForwarderReport,
  ListenerState,
  Parting,
  Rules,
  RulesChange,
  TargetState,
} from '../../../src/forwarder/rules.ts';
import { emptyTable, type RulesTable, revise } from '../../../src/forwarder/table.ts';

/** A forwarder without sockets: keeps the real one's promises about generations, bases and reports. */
export class FakeForwarder implements Forwarder {
  table: RulesTable = emptyTable;
  /** Every document that was taken, in order. */
  readonly taken: (Rules | RulesChange)[] = [];
  /** While true nothing is reported, as by a process that hangs. */
  silent = false;
  /** How it was told to end. */
  parting: Parting | undefined;
  readonly #onReport: (report: ForwarderReport) => void;

  constructor(onReport: (report: ForwarderReport) => void) {
    this.#onReport = onReport;
  }

  apply(next: Rules | RulesChange): void {
    const { table, revision } = revise(this.table, next);
    this.table = table;
    this.taken.push(next);
    const listeners = Object.fromEntries([...revision.listeners].map((id) => [id, this.#stateOf(id)]));
    const targets = Object.fromEntries([...revision.nodes].map((id) => [id, table.nodes.has(id) ? healthy : null]));
    if (!this.silent) setImmediate(() => this.#onReport({ generation: table.generation, listeners, targets }));
  }

  /** Forgets everything, as a process that was started anew without its parent's knowledge. */
  forget(): void {
    this.table = emptyTable;
  }

  /** All that it did not say while it was silent. */
  answer(): void {
    this.report({ listeners: Object.fromEntries([...this.table.listeners.keys()].map((id) => [id, this.#stateOf(id)])) });
  }

  report(report: Partial<ForwarderReport>): void {
    this.#onReport({ generation: this.table.generation, listeners: {}, targets: {}, ...report });
  }

  async close(_drainMs?: number, parting?: Parting): Promise<void> {
    this.parting = parting;
  }

  async counters(): Promise<never> {
    throw new Error('nothing goes through this forwarder');
  }

  #stateOf(id: string): ListenerState | null {
    const rule = this.table.listeners.get(id);
    return rule ? { state: 'listening', address: rule.address, port: rule.port } : null;
  }
}

const healthy: TargetState = { health: 'healthy', asOf: 1 };
