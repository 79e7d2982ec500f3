import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run, tryRun } from '../e2e/lab/command.ts';
import { type Figure, medianFigure, quantile, renderSection, type Section } from './figures.ts';
import { end } from './forwarder/contestants.ts';
import { cpuSeconds } from './forwarder/cpu.ts';
import { type Balancer, canMeasure, type Grounds, makeGrounds, startIn } from './forwarder/grounds.ts';
import { latencies } from './forwarder/tasks.ts';

/**
 * Datagrams through the userspace path, beside a relay in C and others: the same clients and back-ends in the same run, each relay in a
 * network namespace of its own. Root on Linux with gcc. Alone: `node test/bench/udp.ts [--short] [--json FILE]`.
 */
const PORT = 8001;
const TARGET_PORT = 30_080;

interface Contestant {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly child?: ChildProcess;
}

type Start = (stage: { grounds: Grounds; balancer: Balancer; program: string }) => Promise<ChildProcess | undefined>;

const ours =
  (datapath: string): Start =>
  ({ grounds, balancer: { namespace, address } }) =>
    startIn(namespace, 'contestant.ts', [datapath, 'false', '0', address, String(PORT), String(TARGET_PORT), ...grounds.targets]);

const OURS = 'userspace path';
const C_RELAY = 'C relay';

const starters: readonly { readonly name: string; readonly start: Start }[] = [
  { name: OURS, start: ours('userspace') },
  { name: C_RELAY, start: startRelay },
  { name: 'bare Node relay', start: startBare },
  { name: 'nginx stream', start: startNginx },
  { name: 'kernel path', start: ours('nftables') },
];

/** What was found by the load: datagrams answered in a second, microseconds from question to answer. */
interface Outcome {
  readonly perSecond: number;
  readonly resent: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

interface Trial {
  readonly mode: 'datagrams' | 'many' | 'latency';
  readonly name: string;
  readonly clients: number;
  /** Datagrams of each client that are under way. */
  readonly window: number;
  readonly bytes: number;
  readonly aim?: number;
}

const trials: readonly Trial[] = [
  { mode: 'datagrams', name: 'exchanges/s, 32 clients, 64 bytes', clients: 32, window: 4, bytes: 64, aim: 0.35 },
  { mode: 'many', name: 'exchanges/s, 1,000 clients, 512 bytes', clients: 1_000, window: 1, bytes: 512, aim: 0.35 },
  { mode: 'latency', name: 'latency', clients: 2, window: 1, bytes: 64 },
];

interface Measured extends Outcome {
  readonly contestant: string;
  readonly mode: Trial['mode'];
  /** Of the relay's process, for each exchange; NaN where there is none. */
  readonly cpuMicroseconds: number;
}

async function startRelay({ grounds, balancer: { namespace, address }, program }: Parameters<Start>[0]): Promise<ChildProcess> {
  return startC(namespace, program, ['relay', address, String(PORT), String(TARGET_PORT), ...grounds.targets]);
}

async function startBare({ grounds, balancer: { namespace, address } }: Parameters<Start>[0]): Promise<ChildProcess> {
  return startIn(namespace, 'bare-relay.ts', [address, String(PORT), String(TARGET_PORT), ...grounds.targets]);
}

async function startNginx({ grounds, balancer: { namespace, address } }: Parameters<Start>[0]): Promise<ChildProcess> {
  const { code } = await tryRun('sh', ['-c', 'command -v nginx && ls /usr/lib*/nginx/modules/ngx_stream_module.so']);
  if (code !== 0) throw new Error('nginx with its stream module is not installed');
  const { stdout: module } = await run('sh', ['-c', 'ls /usr/lib*/nginx/modules/ngx_stream_module.so']);
  const config = `
load_module ${module.trim()};
daemon off;
master_process off;
worker_processes 1;
pid ${join(grounds.directory, 'nginx-udp.pid')};
error_log ${join(grounds.directory, 'nginx-udp.log')};
events { worker_connections 16000; }
stream {
  access_log off;
  upstream nodes {
${grounds.targets.map((target) => `    server ${target}:${TARGET_PORT};`).join('\n')}
  }
  server {
    listen ${address}:${PORT} udp rcvbuf=4m;
    proxy_pass nodes;
    proxy_timeout 10s;
  }
}
`;
  const file = join(grounds.directory, 'nginx-udp.conf');
  writeFileSync(file, config);
  const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, 'nginx', '-q', '-c', file, '-p', grounds.directory], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await once(child, 'spawn');
  return child;
}

/** @returns once it says that it is ready */
async function startC(namespace: string, program: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  if (child.exitCode !== null) throw new Error(`${program} ended with ${said[0]}`);
  return child;
}

/** @returns where the program is; undefined when there is no compiler */
async function compile(directory: string): Promise<string | undefined> {
  const program = join(directory, 'datagrams');
  try {
    await run('gcc', ['-O2', '-o', program, join(import.meta.dirname, 'forwarder/datagrams.c')]);
    return program;
  } catch {
    return undefined;
  }
}

export async function benchUdp({ short }: { readonly short: boolean }): Promise<Section | undefined> {
  if (!(await canMeasure())) return undefined;
  const grounds = await makeGrounds();
  const title = 'Forwarder, UDP: three back-ends, one thread each, each relay a network namespace of its own';
  const children: ChildProcess[] = [];
  try {
    const program = await compile(grounds.directory);
    if (program === undefined)
      return { title, setting: ['there is no gcc here that could make the relay: nothing measured'], figures: [] };
    // Our forwarder's checks of its targets are TCP.
    await startIn(grounds.nodes, 'backend.ts', [String(TARGET_PORT), ...grounds.targets]);
    children.push(await startC(grounds.nodes, program, ['echo', String(TARGET_PORT), ...grounds.targets, grounds.direct]));
    const contestants: Contestant[] = [{ name: 'direct', address: grounds.direct, port: TARGET_PORT }];
    const missing: string[] = [];
    for (const { name, start } of starters) {
      const balancer = await grounds.balancer();
      try {
        const child = await start({ grounds, balancer, program });
        if (child) children.push(child);
        contestants.push({ name, address: balancer.address, port: PORT, ...(child ? { child } : {}) });
      } catch (error) {
        missing.push(`${name} is not to be had here: ${String(error).slice(0, 100)}`);
      }
    }
    const ask = async ({ address, port }: Contestant, { clients, window, bytes }: Trial, ms: number): Promise<Outcome> => {
      const args = ['load', address, port, clients, window, bytes, ms].map(String);
      const { stdout } = await run('nsenter', [`--net=/run/netns/${grounds.client}`, program, ...args]);
      return JSON.parse(stdout) as Outcome;
    };
    await measure(contestants, ask, { rounds: 1, ms: short ? 50 : 1_000 });
    const measured = await measure(contestants, ask, short ? { rounds: 1, ms: 200 } : { rounds: 7, ms: 500 });
    return { title, ...describe(contestants, measured, missing) };
  } finally {
    for (const child of children) await end(child);
    await grounds.end();
  }
}

type Ask = (contestant: Contestant, trial: Trial, ms: number) => Promise<Outcome>;

/** Each round has every contestant once in every trial, each time with another one first. */
async function measure(contestants: readonly Contestant[], ask: Ask, { rounds, ms }: { rounds: number; ms: number }) {
  const measured: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    const turn = contestants.map((_, i) => contestants[(i + round) % contestants.length]!);
    for (const trial of trials)
      for (const contestant of turn) {
        const pid = contestant.child?.pid ?? 0;
        const before = cpuSeconds(pid);
        const outcome = await ask(contestant, trial, ms);
        // The warm-up is in the CPU time and not in the count; it is the same for all.
        const cpuMicroseconds = ((cpuSeconds(pid) - before) * 1e9) / (outcome.perSecond * ms);
        measured.push({ ...outcome, contestant: contestant.name, mode: trial.mode, cpuMicroseconds });
      }
  }
  return measured;
}

function describe(contestants: readonly Contestant[], measured: readonly Measured[], missing: readonly string[]) {
  const samples = (name: string, mode: Trial['mode'], of: (one: Measured) => number) =>
    measured.filter((one) => one.contestant === name && one.mode === mode).map(of);
  const figures: Figure[] = [];
  for (const { mode, name: trial, aim } of trials.filter((one) => one.mode !== 'latency')) {
    for (const { name } of contestants) {
      const rates = samples(name, mode, (one) => one.perSecond);
      const cpu = quantile(samples(name, mode, (one) => one.cpuMicroseconds).filter(Number.isFinite), 0.5);
      const note = cpu > 0.1 ? { note: `${cpu.toFixed(1)} us of CPU each` } : {};
      figures.push({ name: `${trial}: ${name}`, value: quantile(rates, 0.5), unit: '/s', ...note });
    }
    const over = (rival: string, of: (one: Measured) => number) => {
      const theirs = samples(rival, mode, of);
      return samples(OURS, mode, of).map((value, round) => value / theirs[round]!);
    };
    for (const { name } of contestants.filter(({ name }) => name !== OURS && name !== 'direct' && name !== 'kernel path')) {
      const aimed = name === C_RELAY && aim !== undefined ? { aim: { atLeast: aim } } : {};
      const rates = over(name, (one) => one.perSecond);
      figures.push(medianFigure({ name: `  ours / ${name}`, unit: 'x', ...aimed }, rates));
      const perCpu = over(name, (one) => 1 / one.cpuMicroseconds).filter(Number.isFinite);
      if (perCpu.length > 0) figures.push(medianFigure({ name: `  ours / ${name}, per CPU second`, unit: 'x' }, perCpu));
    }
  }
  for (const [q, quantileName] of latencies)
    for (const { name } of contestants) {
      const found = samples(name, 'latency', (one) => one[q]).filter((one) => one >= 0);
      const value = quantile(found, 0.5);
      figures.push({ name: `latency ${quantileName}: ${name}`, value, unit: 'us' });
    }
  const silent = measured.filter(({ perSecond }) => perSecond === 0).map((one) => `${one.contestant} (${one.mode}): no answers`);
  const lost = contestants.flatMap(({ name }) => {
    const resent = measured.filter((one) => one.contestant === name).reduce((sum, one) => sum + one.resent, 0);
    return resent > 0 ? [`${name}: ${resent} datagrams sent again after 50 ms without an answer`] : [];
  });
  const setting = [
    `${cpus().length} CPUs, shared by load, relay and back-ends; medians of interleaved rounds after one to warm up`,
    'an exchange is a datagram there and one back; clients and back-ends are C programs that take and give many with one call',
    ...missing,
    ...silent.slice(0, 5),
    ...lost,
  ];
  return { setting, figures, details: measured };
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { short: { type: 'boolean', default: false }, json: { type: 'string' } } });
  const section = await benchUdp({ short: values.short });
  console.log(section ? renderSection(section) : 'datagrams are measured as root on Linux');
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(section, null, 2)}\n`);
}
