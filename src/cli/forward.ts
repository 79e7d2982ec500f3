import { createHash } from 'node:crypto';
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { explain, Refusal, UsageError } from '../errors.ts';
import { FORWARD_TABLES, openForwarder } from '../forwarder/datapath.ts';
import { claimTable } from '../forwarder/kernel/claim.ts';
import { formatEndpoint } from '../forwarder/problems.ts';
import type { Forwarder, ForwarderLog, ForwarderReport, ListenerState, Rules, TargetState } from '../forwarder/rules.ts';
import type { Call } from './command.ts';
import { judgeForward, planForward, readRules, sayUnchecked } from './forward-plan.ts';

const DRAIN_SECONDS = 30;
/** How often the rules file is looked at. */
const LOOK_MS = 500;

/**
 * `forward`: the forwarder alone, until SIGTERM or SIGINT, with a drain at the end.
 * @returns 0
 * @throws {UsageError} with every problem of the command line, or of the rules file
 * @throws {Refusal} when the port of the command line cannot be served
 */
export async function runForward(call: Call): Promise<number> {
  const rules = await readAsked(call);
  const stopped = call.interrupted();
  const told = new Teller(call, rules);
  const log = logTo(call);
  const table = tableOf(call);
  claimTable(table); // for as long as this process lives
  const forwarder = openForwarder({
    datapath: (call.values.datapath ?? 'auto') as 'auto' | 'userspace' | 'nftables',
    table,
    onReport: (report) => told.take(report),
    log,
  });
  forwarder.apply(rules);
  const path = call.values.rules;
  if (path === undefined) await told.firstOutcome(forwarder);
  else follow(path, call, (next) => told.apply(forwarder, next));
  await new Promise<void>((done) => {
    if (stopped.aborted) done();
    stopped.addEventListener('abort', () => done());
  });
  if (path !== undefined) unwatchFile(path);
  await drain(call, forwarder);
  return 0;
}

/** Without --drain-seconds each listener of a file has the time that the file gives it. */
async function drain({ values, err }: Call, forwarder: Forwarder): Promise<void> {
  const ofFile = values.drainSeconds === undefined && values.rules !== undefined;
  const seconds = ofFile ? undefined : Number(values.drainSeconds ?? DRAIN_SECONDS);
  const time = seconds === undefined ? 'the time that the file gives them' : `${seconds} s`;
  if (seconds !== 0) err.write(`ending: open connections have ${time} to finish; a second Ctrl-C ends at once\n`);
  await forwarder.close(seconds === undefined ? undefined : seconds * 1_000);
}

/** The same for the same call, so that a new run takes the place of one that was killed, and of no other. */
function tableOf({ operands, values }: Call): string {
  const what = values.rules === undefined ? (operands[0] ?? '') : resolve(values.rules);
  return `${FORWARD_TABLES}${createHash('sha256').update(what).digest('hex').slice(0, 8)}`;
}

async function readAsked({ operands, values }: Call): Promise<Rules> {
  const problems = judgeForward(operands, values);
  if (problems.length > 0) throw new UsageError(problems);
  if (values.rules !== undefined) return readRules(await readRulesFile(values.rules), values.rules);
  return planForward(operands, Number(values.drainSeconds ?? DRAIN_SECONDS));
}

async function readRulesFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new UsageError([{ where: '--rules', value: path, message: `cannot be read: ${explain(cause)}` }], { cause });
  }
}

/** A file that has become wrong is told, and the rules before it stay in force. */
function follow(path: string, call: Call, apply: (rules: Rules) => void): void {
  watchFile(path, { interval: LOOK_MS }, () => {
    readRulesFile(path)
      .then((text) => apply(readRules(text, path)))
      .catch((thrown: unknown) => call.err.write(`${explain(thrown)}\nthe rules before that stay in force\n`));
  });
}

/** Tells people what the reports say: where it listens on stdout, all else on stderr. */
class Teller {
  readonly #call: Call;
  readonly #listeners = new Map<string, ListenerState>();
  readonly #targets = new Map<string, TargetState>();
  /** Listeners that have been open: of no other is it told that it is closed. */
  readonly #opened = new Set<string>();
  #rules: Rules;
  #wake = () => {};

  constructor(call: Call, rules: Rules) {
    this.#call = call;
    this.#rules = rules;
  }

  apply(forwarder: Forwarder, rules: Rules): void {
    this.#rules = rules;
    forwarder.apply(rules);
  }

  take(report: ForwarderReport): void {
    for (const [id, state] of Object.entries(report.listeners)) this.#tellListener(id, state);
    for (const [key, state] of Object.entries(report.targets)) this.#tellTarget(key, state);
    for (const [code, message] of Object.entries(report.warnings ?? {}))
      if (message !== null) this.#call.err.write(`${code}: ${message}\n`);
    this.#wake();
  }

  /** @throws {Refusal} when the only listener cannot be served; the forwarder is closed then */
  async firstOutcome(forwarder: Forwarder): Promise<void> {
    while (this.#listeners.size === 0) {
      await new Promise<void>((done) => {
        this.#wake = done;
      });
    }
    const [state] = this.#listeners.values();
    if (state?.state !== 'failed') return;
    await forwarder.close(0);
    throw new Refusal(state.code, state.message);
  }

  #tellListener(id: string, state: ListenerState | null): void {
    if (state === null) this.#listeners.delete(id);
    else this.#listeners.set(id, state);
    const rule = this.#rules.listeners.find((listener) => listener.id === id);
    if (state?.state === 'listening') {
      const targets = this.#rules.nodeSets[rule?.nodeSet ?? '']?.length ?? 0;
      const where = formatEndpoint(state.address, state.port);
      const why = state.why === undefined ? '' : `: ${state.why}`;
      const path = state.datapath === undefined ? '' : ` (${state.datapath}${why})`;
      this.#opened.add(id);
      const protocol = rule?.protocol.toLowerCase() ?? 'tcp';
      const unchecked = sayUnchecked(rule?.protocol ?? 'TCP', state);
      if (unchecked !== undefined) this.#call.err.write(`${unchecked}\n`);
      this.#call.out.write(`listening ${protocol} ${where} -> ${targets} ${targets === 1 ? 'target' : 'targets'}${path}\n`);
    } else if (state?.state === 'failed' && this.#call.values.rules !== undefined) {
      this.#call.err.write(`${id} is not served: ${state.message}\n`);
    } else if (state === null && this.#opened.delete(id)) {
      this.#call.err.write(`${id} is closed\n`);
    }
  }

  #tellTarget(key: string, state: TargetState | null): void {
    const before = this.#targets.get(key);
    if (state === null) {
      this.#targets.delete(key); // nobody asks any more, which says nothing of its health
      return;
    }
    this.#targets.set(key, state);
    const name = this.#nameOf(key);
    if (state.health === 'unhealthy')
      this.#call.err.write(`target ${name} is unhealthy: ${state.reason ?? 'no reason is known'}\n`);
    else if (before?.health === 'unhealthy') this.#call.err.write(`target ${name} is healthy again\n`);
  }

  /** A target with a port of its own is named by it; the key's second part is the listener's. */
  #nameOf(key: string): string {
    return this.#rules.nodes.find((node) => node.port !== undefined && key.startsWith(`${node.id}:`))?.id ?? key;
  }
}

function logTo(call: Call): ForwarderLog {
  const tell = (fields: object, message: string) => call.err.write(`${message} ${JSON.stringify(fields)}\n`);
  return { debug: () => {}, info: () => {}, warn: tell, error: tell };
}
