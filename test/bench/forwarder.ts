import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Figure, medianFigure, quantile, renderSection, type Section } from './figures.ts';
import {
  type Contestant,
  end,
  freePorts,
  type Starter,
  startHaproxy,
  startNginx,
  startOurs,
  startPipe,
} from './forwarder/contestants.ts';
import { cpuSeconds, residentMegabytes } from './forwarder/cpu.ts';
import { latencies, type Mode, type Outcome, type Task } from './forwarder/tasks.ts';

/**
 * The forwarder's TCP path against HAProxy and nginx: the same back-ends and the same load in the same run, one thread and one
 * loopback address each, rounds interleaved, medians told. Alone: `node test/bench/forwarder.ts [--short] [--json FILE]`.
 */
const TARGETS = ['127.0.21.1', '127.0.21.2', '127.0.21.3'];

const starters: readonly { readonly name: string; readonly start: Starter; readonly address: string }[] = [
  { name: 'nodeport-lb', start: startOurs, address: '127.0.20.1' },
  { name: 'HAProxy', start: startHaproxy, address: '127.0.20.2' },
  { name: 'nginx stream', start: startNginx, address: '127.0.20.3' },
  { name: 'pipe()', start: startPipe, address: '127.0.20.4' },
];

interface Trial {
  readonly mode: Mode;
  readonly name: string;
  readonly connections: number;
  /** Of our throughput to HAProxy's. */
  readonly aim?: number;
}

const trials: readonly Trial[] = [
  { mode: 'kept', name: 'requests/s, kept connections', connections: 50, aim: 0.85 },
  { mode: 'fresh', name: 'new connections/s', connections: 32, aim: 0.7 },
  { mode: 'flood', name: 'bytes/s', connections: 4, aim: 1.15 },
  { mode: 'latency', name: 'latency', connections: 4 },
];

/** Thousands of connections are open by then. */
const MOST_OPENING_MS = 30_000;

interface Measured extends Outcome {
  readonly contestant: string;
  readonly mode: Mode;
  /** Of the contestant's process, for each request, connection or megabyte; NaN where /proc does not tell. */
  readonly cpuMicroseconds: number;
}

export async function benchForwarder({ short }: { readonly short: boolean }): Promise<Section> {
  const directory = mkdtempSync(join(tmpdir(), 'nplb-bench-'));
  const running: { stop(): Promise<void> }[] = [];
  try {
    const [targetPort = 0] = await freePorts('0.0.0.0', 1);
    const backends = await startProgram('backend.ts', [String(targetPort), ...TARGETS]);
    running.push({ stop: () => end(backends) });
    const contestants: Contestant[] = [];
    for (const { start, address } of starters) {
      const contestant = await start({ directory, targets: TARGETS, targetPort }, address);
      if (!contestant) continue;
      contestants.push(contestant);
      running.push(contestant);
    }
    const direct: Contestant = {
      name: 'direct',
      version: '',
      address: TARGETS[0]!,
      ports: [targetPort],
      pid: 0,
      stop: async () => {},
    };
    const load = await startProgram('load.ts', []);
    running.push({ stop: () => end(load) });
    const all = [...contestants, direct];
    // First of all: later a process has memory left from what it has done.
    const held = await holdIdle(contestants, load, short ? 500 : 8_000);
    // V8 compiles what runs often; an hour later nobody would see that. Load and back-ends warm up here as well.
    await measure(all, load, { rounds: 1, ms: short ? 50 : 500 });
    const measured = await measure(all, load, short ? { rounds: 1, ms: 150 } : { rounds: 5, ms: 750 });
    return describe(contestants, measured, held);
  } finally {
    for (const one of running.reverse()) await one.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startProgram(file: string, args: readonly string[]): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'forwarder', file), [...args], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  await once(child, 'message');
  return child;
}

/** Each round has every contestant once in every trial, each time with another one first. */
async function measure(contestants: readonly Contestant[], load: ChildProcess, { rounds, ms }: { rounds: number; ms: number }) {
  const measured: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    const turn = contestants.map((_, i) => contestants[(i + round) % contestants.length]!);
    for (const { mode, connections } of trials) {
      for (const contestant of turn) {
        if (contestant.name === 'direct' && mode !== 'latency') continue;
        const { address, ports, pid } = contestant;
        const before = cpuSeconds(pid);
        const outcome = await ask(load, { mode, address, ports, connections, ms });
        const units = (outcome.perSecond * ms) / 1_000 / (mode === 'flood' ? 1e6 : 1);
        // The warm-up is in the CPU time and not in the units; it is the same for all.
        const cpuMicroseconds = ((cpuSeconds(pid) - before) * 1e6) / units;
        measured.push({ ...outcome, contestant: contestant.name, mode, cpuMicroseconds });
      }
    }
  }
  return measured;
}

interface Held {
  readonly contestant: string;
  /** Connections that were opened, and answered once. */
  readonly connections: number;
  /** By which the process grew. */
  readonly megabytes: number;
}

/** Connections that do nothing, one contestant after the other: those of the one before have gone when the next ones are opened. */
async function holdIdle(contestants: readonly Contestant[], load: ChildProcess, connections: number): Promise<readonly Held[]> {
  const held: Held[] = [];
  for (const { name, address, ports, pid } of contestants) {
    const before = residentMegabytes(pid);
    const { perSecond: opened } = await ask(load, { mode: 'idle', address, ports, connections, ms: MOST_OPENING_MS });
    held.push({ contestant: name, connections: opened, megabytes: residentMegabytes(pid) - before });
  }
  return held;
}

async function ask(load: ChildProcess, task: Task): Promise<Outcome> {
  const answered = once(load, 'message');
  load.send(task);
  const [outcome] = (await answered) as [Outcome];
  return outcome;
}

/** Ratios within each round: what else the machine did then, both have suffered. */
function paired(ours: readonly number[], theirs: readonly number[]): readonly number[] {
  return ours.flatMap((value, round) => (theirs[round] === undefined ? [] : [value / theirs[round]]));
}

function describe(contestants: readonly Contestant[], measured: readonly Measured[], held: readonly Held[]): Section {
  const samples = (name: string, mode: Mode, of: (one: Measured) => number) =>
    measured.filter((one) => one.contestant === name && one.mode === mode).map(of);
  const median = (name: string, mode: Mode, of: (one: Measured) => number) => quantile(samples(name, mode, of), 0.5);
  const there = (name: string) => contestants.some((one) => one.name === name);
  const figures: Figure[] = [];
  for (const trial of trials.filter(({ mode }) => mode !== 'latency')) {
    const flood = trial.mode === 'flood';
    const rate = (name: string) => median(name, trial.mode, (one) => one.perSecond / (flood ? 1e6 : 1));
    for (const { name } of contestants) {
      const runs = samples(name, trial.mode, (one) => Math.round(one.perSecond / (flood ? 1e6 : 1)));
      const unit = flood ? 'MB/s' : '/s';
      const cpu = median(name, trial.mode, (one) => one.cpuMicroseconds);
      const note = Number.isFinite(cpu) ? { note: `${cpu.toFixed(1)} us of CPU ${flood ? 'a MB' : 'each'}` } : {};
      figures.push({ name: `${trial.name}: ${name}`, value: rate(name), unit, samples: runs, ...note });
    }
    for (const rival of ['HAProxy', 'nginx stream'].filter(there)) {
      const aim = rival === 'HAProxy' && trial.aim !== undefined ? { aim: { atLeast: trial.aim } } : {};
      const ratios = (of: (one: Measured) => number) =>
        paired(samples('nodeport-lb', trial.mode, of), samples(rival, trial.mode, of));
      figures.push(
        medianFigure(
          { name: `  ours / ${rival}`, unit: 'x', ...aim },
          ratios((one) => one.perSecond),
        ),
      );
      const perCpu = ratios((one) => 1 / one.cpuMicroseconds).filter(Number.isFinite);
      if (perCpu.length > 0) figures.push(medianFigure({ name: `  ours / ${rival}, per CPU second`, unit: 'x' }, perCpu));
    }
  }
  for (const [q, quantileName] of latencies) {
    const latency = (name: string) => median(name, 'latency', (one) => one.microseconds?.[q] ?? Number.NaN);
    const added = (name: string) => latency(name) - latency('direct');
    for (const { name } of contestants)
      figures.push({ name: `added latency ${quantileName}: ${name}`, value: added(name), unit: 'us' });
    for (const rival of ['HAProxy', 'nginx stream'].filter(there)) {
      figures.push({ name: `  ours / ${rival}`, value: added('nodeport-lb') / added(rival), unit: 'x' });
    }
  }
  for (const { contestant, connections, megabytes } of held) {
    const note = `${((megabytes * 1_000) / connections).toFixed(1)} KB each, beside what the kernel keeps of sockets`;
    figures.push({ name: `memory for ${connections} idle connections: ${contestant}`, value: megabytes, unit: 'MB', note });
  }
  const missing = starters.filter(({ name }) => !there(name)).map(({ name }) => `${name} is not installed here: no ratio to it`);
  const errors = measured
    .filter((one) => one.errors > 0)
    .map((one) => `${one.contestant} (${one.mode}): ${one.errors} errors, first ${one.firstError}`);
  return {
    title: 'Forwarder, TCP: three back-ends, one thread each',
    setting: [
      contestants.map(({ name, version }) => `${name} ${version}`).join(', '),
      `${cpus().length} CPUs, shared by load, balancer and back-ends; medians of interleaved rounds after one to warm up`,
      `connections: ${trials.map(({ mode, connections }) => `${mode} ${connections}`).join(', ')}; latency is told above that without a balancer`,
      ...missing,
      ...errors,
    ],
    figures,
    details: { measured, held },
  };
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { short: { type: 'boolean', default: false }, json: { type: 'string' } } });
  const section = await benchForwarder({ short: values.short });
  console.log(renderSection(section));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(section, null, 2)}\n`);
}
