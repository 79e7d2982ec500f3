import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { zeroCounters } from './counters.ts';
import { PRIVATE_TABLES, TABLE } from './datapath.ts';
import { claimTable } from './kernel/claim.ts';
import type { FromForwarder, ToForwarder } from './messages.ts';
import { Reports } from './reports.ts';
import {
  type Forwarder,
  type ForwarderCounters,
  type ForwarderLog,
  type ForwarderReport,
  type Parting,
  RULES_VERSION,
  type Rules,
  type RulesChange,
} from './rules.ts';
import { emptyTable, type RulesTable, revise, wholeRules } from './table.ts';

/** A child that dies is started again after this long, doubled each time; a minute of life makes it trusted again. */
const RESPAWN_LEAST_MS = 50;
const RESPAWN_MOST_MS = 10_000;
const TRUSTED_AFTER_MS = 60_000;
/** A shorter outage is not reported: listeners that are back so soon would only flap. */
const REPORT_DOWN_AFTER_MS = 2_000;
/** Time to exit after the drain before the child is killed; a second of it is for what was accepted last. */
const EXIT_GRACE_MS = 3_000;
/** A child that does not answer for this long has no counters for us. */
const COUNTERS_TIMEOUT_MS = 2_000;

/** Traffic makes little garbage; Node's 16 MB would cost 40 MB of memory with 1,000 listeners on 100 nodes and make nothing faster. */
const SEMI_SPACE_MB = 4;

export interface SpawnOptions {
  onReport(report: ForwarderReport): void;
  readonly log: ForwarderLog;
  /** As `openForwarder` takes it; default: userspace. */
  readonly datapath?: 'auto' | 'userspace' | 'nftables';
  /** As `openForwarder` takes it. */
  readonly table?: string;
  /**
   * The table is this process's own and goes with it, however that ends: `table` is not looked at, and tables of processes that had no
   * time for it are removed. Default: the kernel goes on when this process dies, for the one that comes after it.
   */
  readonly isPrivate?: boolean;
  /** Takes over what the forwarder at this path has, and gives it to the next one there; `onSucceeded` tells of that. */
  readonly handover?: { readonly path: string; onSucceeded(): void };
  /** The child's program; default: `process.ts` or `process.js` beside this module. */
  readonly entry?: string;
  /** How long the child may be gone before its listeners are reported failed; default: REPORT_DOWN_AFTER_MS. */
  readonly reportDownAfterMs?: number;
}

/** Forwards in a process of its own, so that whatever keeps this one busy never stalls traffic. */
export function spawnForwarder(options: SpawnOptions): Forwarder & { readonly pid: number | undefined } {
  return new ChildForwarder(options);
}

class ChildForwarder implements Forwarder {
  readonly #entry: string;
  readonly #args: readonly string[];
  readonly #freeTable: () => void = () => {};
  readonly #reportDownAfterMs: number;
  readonly #handover: SpawnOptions['handover'];
  /** Another forwarder has taken over. */
  #isSucceeded = false;
  readonly #log: ForwarderLog;
  readonly #reports: Reports;
  readonly #requests = new Map<number, (counters: ForwarderCounters) => void>();
  #child: ChildProcess;
  #table: RulesTable = emptyTable;
  /** What the child has; undefined: nothing yet, it needs whole rules. */
  #sent: RulesTable | undefined;
  #sendScheduled = false;
  #respawnMs = RESPAWN_LEAST_MS;
  #respawn: NodeJS.Timeout | undefined;
  #reportDown: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #lastRequest = 0;

  constructor(options: SpawnOptions) {
    this.#entry = options.entry ?? findEntry();
    const { datapath = 'userspace', isPrivate = false, table = TABLE } = options;
    const own = `${PRIVATE_TABLES}${process.pid}-${randomUUID().slice(0, 8)}`;
    this.#args = [datapath, isPrivate ? own : table];
    if (isPrivate) this.#freeTable = claimTable(own);
    this.#reportDownAfterMs = options.reportDownAfterMs ?? REPORT_DOWN_AFTER_MS;
    this.#log = options.log;
    this.#handover = options.handover;
    this.#reports = new Reports(options.onReport);
    this.#child = this.#spawn();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  apply(next: Rules | RulesChange): void {
    this.#table = revise(this.#table, next).table;
    this.#scheduleSend();
  }

  close(drainMs?: number, parting?: Parting): Promise<void> {
    this.#closing ??= this.#close(drainMs, parting).finally(this.#freeTable);
    return this.#closing;
  }

  counters(): Promise<ForwarderCounters> {
    const request = ++this.#lastRequest;
    return new Promise((resolve) => {
      const none = setTimeout(() => this.#answered(request, { sum: zeroCounters, listeners: {} }), COUNTERS_TIMEOUT_MS);
      this.#requests.set(request, (counters) => {
        clearTimeout(none);
        resolve(counters);
      });
      this.#tell({ type: 'counters', request });
    });
  }

  #spawn(): ChildProcess {
    // With this process's cache the child need not load the type stripper: 55 MB of memory instead of 92 from a checkout.
    const cache = getCompileCacheDir();
    const child = fork(this.#entry, this.#args, {
      env: { ...process.env, ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) }) },
      execArgv: ['--disable-warning=ExperimentalWarning', `--max-semi-space-size=${SEMI_SPACE_MB}`],
      serialization: 'json',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const bornMs = performance.now();
    child.on('message', (message: FromForwarder) => this.#hear(message));
    child.on('error', (error) => this.#log.error({ error: error.message }, 'the forwarder process cannot be reached'));
    child.once('exit', (code, signal) => this.#died(code ?? signal ?? 'unknown', performance.now() - bornMs));
    this.#sent = undefined;
    if (this.#handover) child.send({ type: 'succeed', path: this.#handover.path } satisfies ToForwarder, () => {});
    return child;
  }

  #died(how: string | number, livedMs: number): void {
    if (this.#closing || this.#isSucceeded) return;
    if (livedMs >= TRUSTED_AFTER_MS) this.#respawnMs = RESPAWN_LEAST_MS;
    this.#log.error({ how, respawnMs: this.#respawnMs }, 'the forwarder process has died and is started again');
    this.#reportDown ??= setTimeout(() => this.#tellDown(how), this.#reportDownAfterMs);
    this.#respawn = setTimeout(() => {
      this.#child = this.#spawn();
      this.#forgetExceptions();
      this.#scheduleSend();
    }, this.#respawnMs);
    this.#respawnMs = Math.min(this.#respawnMs * 2, RESPAWN_MOST_MS);
  }

  #tellDown(how: string | number): void {
    const message = `the forwarder process has died (${how})`;
    for (const id of this.#table.listeners.keys())
      this.#reports.listener(id, { state: 'failed', code: 'ForwarderDown', message });
  }

  /** A new child tells what it finds; what the old one knew beyond the nodes themselves is void. */
  #forgetExceptions(): void {
    for (const key of this.#reports.toldTargets) if (!this.#table.nodes.has(key)) this.#reports.target(key, null);
  }

  /** One message for all changes of a tick. */
  #scheduleSend(): void {
    if (this.#sendScheduled) return;
    this.#sendScheduled = true;
    setImmediate(() => {
      this.#sendScheduled = false;
      if (this.#table === emptyTable || this.#table === this.#sent) return;
      this.#tell({ type: 'apply', next: this.#sent ? changeBetween(this.#sent, this.#table) : wholeRules(this.#table) });
      this.#sent = this.#table;
    });
  }

  #hear(message: FromForwarder): void {
    if (message.type === 'report') this.#takeReport(message.report);
    else if (message.type === 'counters') this.#answered(message.request, message.counters);
    else if (message.type === 'succeeded') this.#succeeded();
    else if (message.type === 'log') this.#log[message.level](message.fields, message.message);
    else {
      this.#log.warn({ why: message.why }, 'the forwarder process asks for whole rules');
      this.#sent = undefined;
      this.#scheduleSend();
    }
  }

  #takeReport({ generation, listeners, targets, warnings = {} }: ForwarderReport): void {
    clearTimeout(this.#reportDown);
    this.#reportDown = undefined;
    this.#reports.generation(generation);
    for (const [id, state] of Object.entries(listeners)) this.#reports.listener(id, state);
    for (const [key, state] of Object.entries(targets)) this.#reports.target(key, state);
    for (const [code, message] of Object.entries(warnings)) this.#reports.warning(code, message);
    this.#reports.flush();
  }

  #succeeded(): void {
    this.#isSucceeded = true;
    this.#handover?.onSucceeded();
  }

  #answered(request: number, counters: ForwarderCounters): void {
    this.#requests.get(request)?.(counters);
    this.#requests.delete(request);
  }

  #tell(message: ToForwarder): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  async #close(drainMs: number | undefined, parting: Parting | undefined): Promise<void> {
    clearTimeout(this.#respawn);
    clearTimeout(this.#reportDown);
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#tell({ type: 'close', ...(drainMs === undefined ? {} : { drainMs }), ...(parting ? { parting } : {}) });
    const longestMs = drainMs ?? Math.max(0, ...[...this.#table.listeners.values()].map((listener) => listener.drainMs));
    const kill = setTimeout(() => child.kill('SIGKILL'), longestMs + EXIT_GRACE_MS);
    await exited;
    clearTimeout(kill);
  }
}

/** Pure. Entries that are the same object have not changed: `revise` never copies them. */
function changeBetween(before: RulesTable, after: RulesTable): RulesChange {
  return {
    version: RULES_VERSION,
    base: before.generation,
    generation: after.generation,
    nodes: changedEntries(before.nodes, after.nodes),
    nodeSets: changedEntries(before.nodeSets, after.nodeSets),
    listeners: changedEntries(before.listeners, after.listeners),
    ...(before.exclusive === after.exclusive ? {} : { exclusive: after.exclusive }),
  };
}

function changedEntries<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): Record<string, T | null> {
  const changed: Record<string, T | null> = {};
  if (before === after) return changed;
  for (const id of before.keys()) if (!after.has(id)) changed[id] = null;
  for (const [id, value] of after) if (before.get(id) !== value) changed[id] = value;
  return changed;
}

/** From a checkout the source, in a package the bundle's own file. */
function findEntry(): string {
  const candidates = ['./process.ts', './process.js', './forwarder/process.js'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return candidates.find((path) => existsSync(path)) ?? candidates[0]!;
}
