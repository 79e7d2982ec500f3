import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { run } from '../e2e/lab/command.ts';
import { controllerFigures } from './controller-figures.ts';
import type { Section } from './figures.ts';
import { takeGround } from './ground.ts';
import type { Outcome, Plan } from './plan.ts';

export interface ControllerBench extends Omit<Plan, 'ground'> {
  /** The sandbox even where a real API server is to be had. */
  readonly sandbox: boolean;
  say(line: string): void;
}

/** The controller as its own process with a kubeconfig, as a user runs it, under the load of the project's aims. */
export async function benchController({ sandbox, say, ...wish }: ControllerBench): Promise<Section> {
  if (process.platform !== 'linux') throw new Error(`the controller's benchmark reads /proc, which ${process.platform} has not`);
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

/** `dist/`, as a package has it. */
export async function buildBundle(): Promise<void> {
  const cwd = join(import.meta.dirname, '../..');
  await run(process.execPath, ['src/build.ts'], { cwd });
}

async function runWorker(plan: Plan): Promise<Outcome> {
  const { namespace } = plan.ground;
  const inside = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
  const [command = '', ...args] = [
    ...[...inside, 'setpriv', '--pdeathsig', 'TERM', process.execPath],
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
  return {
    title: `Controller: ${services} LoadBalancer Services x ${outcome.nodes} nodes`,
    setting: [
      `API: ${ground.name}`,
      ...(outcome.nodes < plan.nodes
        ? ['fewer nodes than asked for: no network namespace in which one socket answers for all']
        : []),
      `controller from src/ by type stripping, unless it says bundle; medians of ${repeat} run${repeat === 1 ? '' : 's'}`,
    ],
    figures: controllerFigures(plan, outcome),
    details: outcome,
  };
}
