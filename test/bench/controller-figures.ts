import { type Figure, medianFigure, quantile } from './figures.ts';
import type { Bare, Burst, Outcome, Plan, Writes } from './plan.ts';
import type { ProcessUsage } from './product.ts';

/** Pure. Every figure of the controller's part, with the project's aims. */
export function controllerFigures(plan: Plan, outcome: Outcome): readonly Figure[] {
  return [
    ...timeFigures(outcome.bursts),
    ...costFigures(plan, outcome.bursts),
    ...memoryFigures('', outcome.bursts),
    ...(outcome.bundle ? memoryFigures(', bundle', [outcome.bundle]) : []),
    ...singleFigures(outcome),
    medianFigure({ name: 'one node added -> every balancer has it', unit: 'ms', aim: { atMost: 1000 } }, outcome.nodeAdded),
    ...quietFigures(plan, outcome),
  ];
}

function timeFigures(bursts: readonly Burst[]): readonly Figure[] {
  const figure = (name: string, of: (burst: Burst) => number): Figure => medianFigure({ name, unit: 'ms' }, bursts.map(of));
  const ratio = (name: string, of: (burst: Burst, bare: Bare) => number): Figure =>
    medianFigure(
      { name, unit: 'x' },
      bursts.flatMap((burst) => (burst.bare ? [of(burst, burst.bare) / burst.bare.baselineMs] : [])),
    );
  return [
    figure('creating them, no controller', (b) => b.bare?.baselineMs ?? Number.NaN),
    figure('creating them, controller running', (b) => b.createMs),
    { ...figure('last creation -> last external IP', (b) => b.tailMs), aim: { atMost: 1000 } },
    { ...ratio('first creation -> last IP, of baseline', (b) => b.totalMs), aim: { atMost: 1.2 } },
    {
      ...ratio('the same by a bare client, of baseline', (_, bare) => bare.floorMs),
      note: 'creating and one status patch each, no controller: the floor on this machine',
    },
    {
      ...ratio('the same with two patches each, of baseline', (_, bare) => bare.twoPatchesMs),
      note: 'where a provider makes what outlives the controller',
    },
    figure('deleting them -> all gone', (b) => b.deleteMs),
  ];
}

function costFigures({ services, ground }: Plan, bursts: readonly Burst[]): readonly Figure[] {
  const figure = (name: string, unit: string, of: (burst: Burst) => number): Figure =>
    medianFigure({ name, unit }, bursts.map(of));
  return [
    {
      ...figure('API writes a Service', 'writes', (b) => sum(b.writes) / services),
      aim: { atMost: 3 },
      note: sayWrites(bursts.at(-1)?.writes ?? {}),
    },
    figure('event loop delay p50, controller', 'ms', (b) => b.loop.p50Ms),
    figure('event loop delay p99, controller', 'ms', (b) => b.loop.p99Ms),
    figure('CPU of controller', 's', (b) => b.after.controller.cpuSeconds - b.idle.controller.cpuSeconds),
    figure('CPU of forwarder', 's', (b) => b.after.forwarder.cpuSeconds - b.idle.forwarder.cpuSeconds),
    ...(ground.kind === 'sandbox'
      ? []
      : [
          figure('CPU of API server and etcd, no controller', 's', (b) => b.bare?.serverCpuSeconds ?? Number.NaN),
          figure('CPU of API server and etcd', 's', (b) => b.serverCpuSeconds),
        ]),
  ];
}

/** The aims are held against the controller's process; its forwarder is a second one, told beside it. */
function memoryFigures(form: string, bursts: readonly Burst[]): readonly Figure[] {
  const figure = (name: string, of: (usage: ProcessUsage) => number, when: 'idle' | 'after'): Figure =>
    medianFigure(
      { name: `${name}${form}`, unit: 'MB' },
      bursts.map((burst) => of(burst[when])),
    );
  return [
    { ...figure('RSS peak, controller', (u) => u.controller.peakRssMB, 'after'), aim: { atMost: 150 } },
    figure('RSS peak, forwarder', (u) => u.forwarder.peakRssMB, 'after'),
    figure('RSS peak, both', (u) => u.controller.peakRssMB + u.forwarder.peakRssMB, 'after'),
    { ...figure('RSS idle, controller', (u) => u.controller.rssMB, 'idle'), aim: { atMost: 90 } },
    figure('RSS idle, forwarder', (u) => u.forwarder.rssMB, 'idle'),
    figure('RSS idle, both', (u) => u.controller.rssMB + u.forwarder.rssMB, 'idle'),
    figure('PSS idle, both', (u) => u.controller.pssMB + u.forwarder.pssMB, 'idle'),
  ];
}

function singleFigures({ singles: { timesMs, createMs } }: Outcome): readonly Figure[] {
  const figure = (name: string, q: number, samples: readonly number[]): Figure => ({
    name,
    unit: 'ms',
    value: quantile(samples, q),
  });
  return [
    { ...figure('one Service, creation -> IP, p50', 0.5, timesMs), aim: { atMost: 12 }, note: `of ${timesMs.length}` },
    figure('one Service, creation -> IP, p99', 0.99, timesMs),
    figure('its creation itself, p50', 0.5, createMs),
    { ...figure('its creation itself, p99', 0.99, createMs), note: 'the API server alone, before the controller sees it' },
  ];
}

function quietFigures({ services }: Plan, { quiet, nodes }: Outcome): readonly Figure[] {
  const { seconds, writes, cpuSeconds, usage } = quiet;
  const minutes = Number.isInteger(seconds / 60) ? `${seconds / 60} quiet minutes` : `${seconds} quiet seconds`;
  const percent = '% of one core';
  return [
    {
      name: `API writes in ${minutes}`,
      unit: 'writes',
      aim: { atMost: 0 },
      value: sum(writes),
      note: `at ${services} Services and ${nodes} nodes or more. ${sayWrites(writes)}`.trim(),
    },
    { name: 'CPU of controller, quiet', unit: percent, value: (100 * cpuSeconds.controller) / seconds },
    { name: 'CPU of forwarder, quiet', unit: percent, value: (100 * cpuSeconds.forwarder) / seconds },
    { name: 'RSS of controller after it', unit: 'MB', value: usage.controller.rssMB },
    { name: 'RSS of forwarder after it', unit: 'MB', value: usage.forwarder.rssMB },
  ];
}

function sum(counts: Writes): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function sayWrites(writes: Writes): string {
  return Object.entries(writes)
    .map(([kind, count]) => `${kind}: ${count}`)
    .join(', ');
}
