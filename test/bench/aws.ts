import { type AwsRun, type PhaseName, runAws } from './aws-run.ts';
import { buildBundle } from './controller.ts';
import type { Figure, Section } from './figures.ts';
import type { ProgramForm } from './product.ts';

export interface AwsBench {
  /** One run for each number of Services. */
  readonly services: readonly number[];
  readonly nodes: number;
  readonly program: ProgramForm;
  /** With more than a hundred Services they are raised: nothing else would be measured. */
  readonly limits: 'usual' | 'raised';
  readonly quietMs: number;
  readonly stillMs: number;
  say(line: string): void;
}

const USUAL_LIMITS_UP_TO = 100;

/** AWS calls, time to hostname and memory of the controller as its own process, on the strict in-memory AWS. */
export async function* benchAws({
  services,
  nodes,
  program,
  limits: wanted,
  quietMs,
  stillMs,
  say,
}: AwsBench): AsyncGenerator<Section> {
  if (program === 'bundle') await buildBundle();
  for (const number of services) {
    const limits = number > USUAL_LIMITS_UP_TO ? 'raised' : wanted;
    say(`aws: ${number} Services x ${nodes} nodes`);
    yield describeRun(await runAws({ services: number, nodes, program, limits, quietMs, stillMs }));
  }
}

function describeRun(run: AwsRun): Section {
  const { services, nodes, program, limits } = run.options;
  const throttled = limits === 'usual' ? "at an account's usual limits" : 'at limits of an account that are never in the way';
  return {
    title: `AWS provider: ${services} Service${services === 1 ? '' : 's'} x ${nodes} nodes`,
    setting: [
      `the strict in-memory AWS, ${throttled}, and the in-memory Kubernetes API; AWS's own time is none`,
      `controller from ${program === 'bundle' ? 'the bundle' : 'src/ by type stripping'}, a process of its own; polls (until active, until checked) are not among the calls`,
    ],
    figures: figuresOf(run),
    details: run,
  };
}

function figuresOf({ options, phases, hostnameMs, memory, leftovers, complaints }: AwsRun): readonly Figure[] {
  const { services } = options;
  const many = services >= USUAL_LIMITS_UP_TO;
  const each = (name: string, phase: PhaseName, atMost?: number): Figure => ({
    name,
    value: phases[phase].calls / services,
    unit: 'calls/Service',
    ...(atMost === undefined ? {} : { aim: { atMost } }),
    note: `${phases[phase].calls} in all, ${phases[phase].reads} of them reads; ${phases[phase].polls} polls`,
  });
  return [
    { name: 'a start with nothing to do', value: phases.start.calls, unit: 'calls', note: 'permissions tried, account read' },
    each('create', 'create', many ? 7 : 10),
    ...(many ? [] : [{ name: 'create, reads alone', value: phases.create.reads, unit: 'calls', aim: { atMost: 4 } } as const]),
    { name: 'first creation -> hostname, median', value: hostnameMs.median, unit: 'ms' },
    { name: 'first creation -> last hostname', value: hostnameMs.last, unit: 'ms' },
    each('nothing happens', 'quiet', 0.01), // the deep check of each NLB, once in 6 hours
    { name: 'a label changes', value: phases.label.calls, unit: 'calls', aim: { atMost: 0 } },
    {
      name: 'a node joins, RegisterTargets a target group',
      value: (phases.node.actions['RegisterTargets'] ?? 0) / services,
      unit: 'calls',
      aim: { atMost: 1 },
      note: `${phases.node.calls} calls in all; the aim is one a target group`,
    },
    {
      name: 'a node joins -> it is a target everywhere',
      value: phases.node.seconds,
      unit: 's',
      ...(many ? { aim: { atMost: 25 } } : {}),
    },
    each('restart, all in sync', 'restart', many ? 0.3 : undefined),
    each('delete', 'delete', 5),
    { name: 'left over at AWS', value: leftovers, unit: 'resources', aim: { atMost: 0 } },
    {
      name: 'memory of the controller (RSS), all made',
      value: memory.made.rssMB,
      unit: 'MB',
      ...(services === 100 ? { aim: { atMost: 120 } } : {}),
    },
    { name: 'its peak', value: memory.made.peakRssMB, unit: 'MB' },
    {
      name: 'memory after a restart',
      value: memory.restarted.rssMB,
      unit: 'MB',
      note: `peak ${Math.round(memory.restarted.peakRssMB)} MB`,
    },
    { name: 'warnings in its log', value: complaints.length, unit: 'lines', aim: { atMost: 0 } },
  ];
}
