import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run, tryRun } from '../e2e/lab/command.ts';
import { describeSpread, type Figure, quantile, renderSection, type Section } from './figures.ts';
import { end } from './forwarder/contestants.ts';
import { cpuSeconds } from './forwarder/cpu.ts';
import { type Balancer, canMeasure, type Grounds, makeGrounds, startIn } from './forwarder/grounds.ts';
import { latencies, type Mode, type Outcome, type Task } from './forwarder/tasks.ts';

/**
 * The kernel path against a plain DNAT and others, each in a network namespace of its own between the same clients and back-ends, so that
 * nobody meets another's masqueraded ports. Root on Linux. Alone: `node test/bench/kernel.ts [--short] [--json FILE]`.
 */
const PORTS = [8001, 8002, 8003, 8004];
const TARGET_PORT = 30_080;

interface Contestant {
  readonly name: string;
  readonly address: string;
  readonly ports: readonly number[];
  readonly child?: ChildProcess;
}

type Start = (grounds: Grounds, balancer: Balancer) => Promise<ChildProcess | undefined>;

const ours =
  (datapath: string, countBytes: boolean, otherRules = 0): Start =>
  (grounds, { namespace, address }) =>
    startIn(namespace, 'contestant.ts', [
      datapath,
      String(countBytes),
      String(otherRules),
      address,
      PORTS.join(),
      String(TARGET_PORT),
      ...grounds.targets,
    ]);

const OURS = 'kernel path';
const OURS_BYTES = 'with bytes counted';
const OURS_MANY = 'with 10,000 rules and bytes';
const PLAIN = 'plain DNAT';
/** The same once more: how far two that are equal differ here. */
const PLAIN_AGAIN = 'plain DNAT again';

const starters: readonly { readonly name: string; readonly start: Start }[] = [
  { name: OURS, start: ours('nftables', false) },
  { name: OURS_BYTES, start: ours('nftables', true) },
  { name: OURS_MANY, start: ours('nftables', true, 10_000) },
  { name: PLAIN, start: startPlain },
  { name: PLAIN_AGAIN, start: startPlain },
  { name: 'iptables DNAT', start: startIptables },
  { name: 'userspace path', start: ours('userspace', true) },
  { name: 'HAProxy', start: startHaproxy },
];

const trials: readonly { readonly mode: Mode; readonly name: string; readonly connections: number }[] = [
  { mode: 'kept', name: 'requests/s, kept connections', connections: 64 },
  { mode: 'fresh', name: 'new connections/s', connections: 64 },
  { mode: 'flood', name: 'bytes/s', connections: 4 },
  { mode: 'latency', name: 'latency', connections: 4 },
];

/** The least that can be done by the kernel: numgen over a map, and masquerade. */
async function startPlain(grounds: Grounds, { namespace, address }: Balancer): Promise<undefined> {
  const places = grounds.targets.map((target, i) => `${i} : ${target}`).join(', ');
  const dnat = `ip daddr ${address} tcp dport { ${PORTS.join(', ')} } dnat to numgen inc mod ${grounds.targets.length} map { ${places} }:${TARGET_PORT}`;
  const rules = `table ip plain {
  chain pre { type nat hook prerouting priority -100; ${dnat}; }
  chain post { type nat hook postrouting priority 100; ip daddr { ${grounds.targets.join(', ')} } masquerade; }
}`;
  await run('nsenter', [`--net=/run/netns/${namespace}`, 'nft', '-f', '-'], { input: rules });
  return undefined;
}

/** As ServiceLB of k3s does it, with its choice by chance. */
async function startIptables(grounds: Grounds, { namespace, address }: Balancer): Promise<undefined> {
  const lines = grounds.targets.map((target, i, { length }) => {
    const chance = i === length - 1 ? '' : `-m statistic --mode random --probability ${(1 / (length - i)).toFixed(6)}`;
    return `iptables -t nat -A PREROUTING -d ${address} -p tcp -m multiport --dports ${PORTS.join()} ${chance} -j DNAT --to ${target}:${TARGET_PORT}`;
  });
  const masquerade = grounds.targets.map((target) => `iptables -t nat -A POSTROUTING -d ${target}/32 -p tcp -j MASQUERADE`);
  const script = ['set -e', ...lines, ...masquerade].join('\n');
  const { code, stderr } = await tryRun('nsenter', [`--net=/run/netns/${namespace}`, 'sh', '-c', script]);
  if (code !== 0) throw new Error(`iptables: ${stderr}`);
  return undefined;
}

async function startHaproxy(grounds: Grounds, { namespace, address }: Balancer): Promise<ChildProcess> {
  await run('haproxy', ['-v']); // throws when it is not installed
  const config = `
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend clients
${PORTS.map((port) => `  bind ${address}:${port}`).join('\n')}
  default_backend nodes
backend nodes
  balance roundrobin
${grounds.targets.map((target, i) => `  server node${i} ${target}:${TARGET_PORT}`).join('\n')}
`;
  const file = join(grounds.directory, 'haproxy.cfg');
  writeFileSync(file, config);
  const args = [`--net=/run/netns/${namespace}`, 'haproxy', '-q', '-db', '-f', file];
  const child = spawn('nsenter', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  await once(child, 'spawn');
  return child;
}

export async function benchKernel({ short }: { readonly short: boolean }): Promise<Section | undefined> {
  if (!(await canMeasure())) return undefined;
  const grounds = await makeGrounds();
  try {
    const backends = await startIn(grounds.nodes, 'backend.ts', [String(TARGET_PORT), ...grounds.targets, grounds.direct]);
    const load = await startIn(grounds.client, 'load.ts', []);
    const contestants: Contestant[] = [{ name: 'direct', address: grounds.direct, ports: [TARGET_PORT] }];
    const missing: string[] = [];
    for (const { name, start } of starters) {
      const balancer = await grounds.balancer();
      try {
        const child = await start(grounds, balancer);
        contestants.push({ name, address: balancer.address, ports: PORTS, ...(child ? { child } : {}) });
      } catch (error) {
        missing.push(`${name} is not to be had here: ${String(error).slice(0, 100)}`);
      }
    }
    const ends = { load, pids: [load.pid!, backends.pid!] };
    await measure(contestants, ends, { rounds: 1, ms: short ? 50 : 400 });
    const measured = await measureAll(contestants, ends, short);
    for (const { child } of contestants) if (child) await end(child);
    return describe(contestants, measured, missing);
  } finally {
    await grounds.end();
  }
}

interface Measured extends Outcome {
  readonly contestant: string;
  readonly mode: Mode;
  /** Requests, connections or megabytes. */
  readonly units: number;
  /** Of load and back-ends together, in which the kernel also does what is between them. */
  readonly cpuSeconds: number;
}

interface Ends {
  readonly load: ChildProcess;
  readonly pids: readonly number[];
}

/** Those that differ by a few per cent meet in many short rounds, so that what else the machine does hits all of them. */
async function measureAll(contestants: readonly Contestant[], ends: Ends, short: boolean): Promise<Measured[]> {
  if (short) return measure(contestants, ends, { rounds: 1, ms: 150 });
  const isClose = ({ name }: Contestant) => [OURS, OURS_BYTES, OURS_MANY, PLAIN, PLAIN_AGAIN].includes(name);
  return [
    ...(await measure(contestants.filter(isClose), ends, { rounds: 31, ms: 200 })),
    ...(await measure(
      contestants.filter((one) => !isClose(one)),
      ends,
      { rounds: 5, ms: 700 },
    )),
  ];
}

/** Each round has every contestant once in every trial, each time with another one first. */
async function measure(contestants: readonly Contestant[], { load, pids }: Ends, { rounds, ms }: { rounds: number; ms: number }) {
  const measured: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    const turn = contestants.map((_, i) => contestants[(i + round) % contestants.length]!);
    for (const { mode, connections } of trials)
      for (const { name, address, ports } of turn) {
        const before = cpuOf(pids);
        const outcome = await ask(load, { mode, address, ports, connections, ms });
        const units = (outcome.perSecond * ms) / 1_000 / (mode === 'flood' ? 1e6 : 1);
        measured.push({ ...outcome, contestant: name, mode, units, cpuSeconds: cpuOf(pids) - before });
      }
  }
  return measured;
}

function cpuOf(pids: readonly number[]): number {
  return pids.map(cpuSeconds).reduce((sum, one) => sum + one);
}

async function ask(load: ChildProcess, task: Task): Promise<Outcome> {
  const answered = once(load, 'message');
  load.send(task);
  const [outcome] = (await answered) as [Outcome];
  return outcome;
}

function describe(contestants: readonly Contestant[], measured: readonly Measured[], missing: readonly string[]): Section {
  const samples = (name: string, mode: Mode, of: (one: Measured) => number) =>
    measured.filter((one) => one.contestant === name && one.mode === mode).map(of);
  const figures: Figure[] = [];
  for (const { mode, name: trial } of trials.filter((one) => one.mode !== 'latency')) {
    const [by, unit] = mode === 'flood' ? [1e6, 'MB/s'] : [1, '/s'];
    const rates = (name: string) => samples(name, mode, (one) => one.perSecond / by);
    for (const { name } of contestants) figures.push({ name: `${trial}: ${name}`, value: quantile(rates(name), 0.5), unit });
    const cost = (name: string) => {
      const sum = (of: (one: Measured) => number) => samples(name, mode, of).reduce((all, one) => all + one, 0);
      return sum((one) => one.cpuSeconds) / sum((one) => one.units);
    };
    for (const name of [OURS, OURS_BYTES, OURS_MANY, PLAIN_AGAIN])
      figures.push({ name: `  ${name} / plain DNAT, per CPU second`, value: cost(PLAIN) / cost(name), unit: 'x' });
    for (const [name, atLeast] of [
      [OURS, 0.97],
      [OURS_BYTES, 0.92],
      [OURS_MANY, 0.92],
      [PLAIN_AGAIN, undefined],
    ] as const) {
      const rivals = rates(PLAIN);
      const ratios = rates(name).map((rate, i) => rate / rivals[i]!);
      const note = ratios.length > 3 ? { note: describeSpread(ratios) } : {};
      figures.push({
        name: `  ${name} / plain DNAT`,
        value: quantile(ratios, 0.5),
        unit: 'x',
        ...(atLeast ? { aim: { atLeast } } : {}),
        ...note,
      });
    }
  }
  for (const [q, quantileName] of latencies) {
    for (const { name } of contestants) {
      const values = samples(name, 'latency', (one) => one.microseconds?.[q] ?? Number.NaN);
      figures.push({ name: `latency ${quantileName}: ${name}`, value: quantile(values, 0.5), unit: 'us' });
    }
  }
  const silent = measured.filter(({ perSecond }) => perSecond === 0);
  const silences = silent.map(({ contestant, mode }) => `${contestant} (${mode}): no answers in one round`);
  const errors = measured
    .filter((one) => one.errors > 0)
    .map((one) => `${one.contestant} (${one.mode}): ${one.errors} errors, first ${one.firstError}`);
  return {
    title: 'Forwarder, kernel path: three back-ends, each balancer a network namespace of its own',
    setting: [
      `${cpus().length} CPUs, shared by load, balancer and back-ends; medians of interleaved rounds after one to warm up; ratios within each of 31 short rounds`,
      `connections: ${trials.map(({ mode, connections }) => `${mode} ${connections}`).join(', ')}`,
      ...missing,
      ...silences.slice(0, 5),
      ...errors.slice(0, 10),
    ],
    figures,
    details: measured,
  };
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { short: { type: 'boolean', default: false }, json: { type: 'string' } } });
  const section = await benchKernel({ short: values.short });
  console.log(section ? renderSection(section) : 'the kernel path is measured as root on Linux');
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(section, null, 2)}\n`);
}
