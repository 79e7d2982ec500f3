import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { run } from '../e2e/lab/command.ts';
import { type Figure, medianFigure, quantile, type Section } from './figures.ts';
import { takeGround } from './ground.ts';
import type { Burst, Outcome, Plan } from './worker.ts';

export interface ControllerBench extends Omit<Plan, 'ground'> {
  /** The sandbox even where a real API server is to be had. */
  readonly sandbox: boolean;
  say(line: string): void;
}

/** The controller as its own process with a kubeconfig, as a user runs it, under the load of the project's aims. */
export async function benchController({ sandbox, say, ...wish }: ControllerBench): Promise<Section> {
  const { ground, close } = await takeGround(sandbox, say);
  const plan: Plan = { ...wish, ground };
  const abort = (): void => void close().finally(() => process.exit(130));
  process.once('SIGINT', abort);
  process.once('SIGTERM', abort);
  try {
    if (plan.bundle) await buildBundle();
    const outcome = await runWorker(plan);
    return describeOutcome(plan, outcome);
  } finally {
    await close();
    process.removeListener('SIGINT', abort);
    process.removeListener('SIGTERM', abort);
  }
}

async function buildBundle(): Promise<void> {
  const cwd = join(import.meta.dirname, '../..');
  await run(process.execPath, ['src/build.ts'], { cwd });
}

async function runWorker(plan: Plan): Promise<Outcome> {
  const { namespace } = plan.ground;
  const inside = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
  const own = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'TERM'] : [];
  const [command = '', ...args] = [
    ...[...inside, ...own, process.execPath],
    ...[join(import.meta.dirname, 'worker.ts'), JSON.stringify(plan)],
  ];
  const worker = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  worker.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  const code = await new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('close', resolve);
  });
  if (code !== 0) throw new Error(`the worker of the controller's benchmark ended with ${code}`);
  return JSON.parse(out) as Outcome;
}

function describeOutcome(plan: Plan, outcome: Outcome): Section {
  const { services, ground, repeat } = plan;
  const nodes =
    ground.namespace === undefined
      ? `${outcome.nodes} nodes (without a network namespace no more answer)`
      : `${outcome.nodes} nodes`;
  return {
    title: `Controller: ${services} LoadBalancer Services x ${nodes}`,
    setting: [
      `API: ${ground.name}`,
      `controller from src/ by type stripping, unless it says bundle; medians of ${repeat} run${repeat === 1 ? '' : 's'}`,
    ],
    figures: [...burstFigures(plan, outcome), ...memoryFigures(outcome), ...otherFigures(plan, outcome)],
    details: outcome,
  };
}

function burstFigures({ services }: Plan, { bursts }: Outcome): readonly Figure[] {
  const writes = bursts.flatMap((burst) => (burst.writes ? [sum(burst.writes) / services] : []));
  const kinds = Object.entries(bursts.at(-1)?.writes ?? {});
  return [
    medianFigure(
      { name: 'creating them, no controller', unit: 'ms' },
      bursts.map((b) => b.baselineMs),
    ),
    medianFigure(
      { name: 'creating them, controller running', unit: 'ms' },
      bursts.map((b) => b.createMs),
    ),
    medianFigure(
      { name: 'last creation -> last external IP', unit: 'ms', aim: { atMost: 1000 } },
      bursts.map((b) => b.tailMs),
    ),
    medianFigure(
      { name: 'first creation -> last IP, of baseline', unit: 'x', aim: { atMost: 1.2 } },
      bursts.map((b) => b.totalMs / b.baselineMs),
    ),
    {
      ...medianFigure(
        { name: 'the same by a bare client, of baseline', unit: 'x' },
        bursts.map((b) => b.floorMs / b.baselineMs),
      ),
      note: 'creating and two status patches each, no controller: the floor on this machine',
    },
    medianFigure(
      { name: 'CPU of API server and etcd, without', unit: 's' },
      bursts.map((b) => b.serverCpuSeconds.baseline),
    ),
    medianFigure(
      { name: 'CPU of API server and etcd, with', unit: 's' },
      bursts.map((b) => b.serverCpuSeconds.burst),
    ),
    {
      ...medianFigure({ name: 'API writes a Service', unit: 'writes', aim: { atMost: 3 } }, writes),
      note: writes.length === 0 ? 'this API keeps no audit log' : kinds.map(([kind, n]) => `${kind}: ${n}`).join(', '),
    },
    medianFigure(
      { name: 'event loop delay p50, controller', unit: 'ms' },
      bursts.map((b) => b.loop.p50Ms),
    ),
    medianFigure(
      { name: 'event loop delay p99, controller', unit: 'ms' },
      bursts.map((b) => b.loop.p99Ms),
    ),
    medianFigure(
      { name: 'CPU of controller for them', unit: 's' },
      bursts.map((b) => b.after.controller.cpuSeconds - b.idle.controller.cpuSeconds),
    ),
    medianFigure(
      { name: 'CPU of forwarder for them', unit: 's' },
      bursts.map((b) => b.after.forwarder.cpuSeconds - b.idle.forwarder.cpuSeconds),
    ),
    medianFigure(
      { name: 'deleting them -> all gone', unit: 'ms' },
      bursts.map((b) => b.deleteMs),
    ),
  ];
}

function memoryFigures({ bursts, bundle }: Outcome): readonly Figure[] {
  const peak = (of: 'controller' | 'forwarder') => bursts.map((b) => b.after[of].peakRssMB);
  const idle = (of: 'controller' | 'forwarder') => bursts.map((b) => b.idle[of].rssMB);
  const both = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value + (b[i] ?? 0));
  return [
    medianFigure({ name: 'RSS peak, controller', unit: 'MB', aim: { atMost: 150 } }, peak('controller')),
    medianFigure({ name: 'RSS peak, forwarder', unit: 'MB' }, peak('forwarder')),
    medianFigure({ name: 'RSS peak, both', unit: 'MB' }, both(peak('controller'), peak('forwarder'))),
    medianFigure({ name: 'RSS idle, controller', unit: 'MB', aim: { atMost: 90 } }, idle('controller')),
    medianFigure({ name: 'RSS idle, forwarder', unit: 'MB' }, idle('forwarder')),
    medianFigure({ name: 'RSS idle, both', unit: 'MB' }, both(idle('controller'), idle('forwarder'))),
    {
      ...medianFigure(
        { name: 'PSS idle, both', unit: 'MB' },
        bursts.map((b) => b.idle.controller.pssMB + b.idle.forwarder.pssMB),
      ),
      note: 'pages that several processes share, such as Node itself, are divided among them',
    },
    ...(bundle ? bundleFigures(bundle) : []),
  ];
}

function bundleFigures({ idle, after }: Burst): readonly Figure[] {
  return [
    { name: 'RSS peak, controller, bundle', unit: 'MB', aim: { atMost: 150 }, value: after.controller.peakRssMB },
    { name: 'RSS peak, forwarder, bundle', unit: 'MB', value: after.forwarder.peakRssMB },
    { name: 'RSS peak, both, bundle', unit: 'MB', value: after.controller.peakRssMB + after.forwarder.peakRssMB },
    { name: 'RSS idle, controller, bundle', unit: 'MB', aim: { atMost: 90 }, value: idle.controller.rssMB },
    { name: 'RSS idle, forwarder, bundle', unit: 'MB', value: idle.forwarder.rssMB },
    { name: 'RSS idle, both, bundle', unit: 'MB', value: idle.controller.rssMB + idle.forwarder.rssMB },
    { name: 'PSS idle, both, bundle', unit: 'MB', value: idle.controller.pssMB + idle.forwarder.pssMB },
    {
      name: 'CPU of controller for them, bundle',
      unit: 's',
      value: after.controller.cpuSeconds - idle.controller.cpuSeconds,
    },
  ];
}

function otherFigures({ services }: Plan, { singles, nodeAdded, quiet, nodes }: Outcome): readonly Figure[] {
  const minutes = quiet.seconds / 60;
  const idle = `${services} Services, ${nodes} nodes and more`;
  return [
    { name: 'one Service, creation -> IP, p50', unit: 'ms', aim: { atMost: 12 }, value: quantile(singles.timesMs, 0.5) },
    {
      name: 'one Service, creation -> IP, p99',
      unit: 'ms',
      value: quantile(singles.timesMs, 0.99),
      note: `of ${singles.timesMs.length}`,
    },
    { name: 'its creation itself, p50', unit: 'ms', value: quantile(singles.createMs, 0.5) },
    { name: 'its creation itself, p99', unit: 'ms', value: quantile(singles.createMs, 0.99), note: 'the API server alone' },
    medianFigure({ name: 'one node added -> every balancer has it', unit: 'ms', aim: { atMost: 1000 } }, nodeAdded),
    {
      name: `API writes in ${show(minutes)} quiet minutes`,
      unit: 'writes',
      aim: { atMost: 0 },
      value: quiet.writes ? sum(quiet.writes) : Number.NaN,
      note: quiet.writes ? idle : 'this API keeps no audit log',
    },
    { name: 'CPU of controller, quiet', unit: '% of one core', value: (100 * quiet.cpuSeconds.controller) / quiet.seconds },
    { name: 'CPU of forwarder, quiet', unit: '% of one core', value: (100 * quiet.cpuSeconds.forwarder) / quiet.seconds },
    { name: 'RSS after it, controller', unit: 'MB', value: quiet.usage.controller.rssMB },
    { name: 'RSS after it, forwarder', unit: 'MB', value: quiet.usage.forwarder.rssMB },
  ];
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, n) => total + n, 0);
}

function show(minutes: number): string {
  return Number.isInteger(minutes) ? String(minutes) : minutes.toFixed(2);
}
