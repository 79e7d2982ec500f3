import { existsSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { explain } from '../../src/errors.ts';
import { benchAws } from './aws.ts';
import { benchChurn } from './churn.ts';
import { benchController } from './controller.ts';
import { meetsAim, renderSection, type Section } from './figures.ts';
import { benchKernel } from './kernel.ts';
import { benchKernelScale } from './kernel-scale.ts';
import { benchUdp } from './udp.ts';
import { benchVips } from './vips.ts';

/**
 * `npm run bench [-- --short] [--only controller|forwarder|vips|aws] [--json FILE] [--quiet-seconds N] [--repeat N]`.
 * Exits with 1 only when something did not run, or memory or descriptors grow under churn; a slow machine is no failure.
 */
const options = {
  short: { type: 'boolean', default: false },
  only: { type: 'string' },
  json: { type: 'string' },
  'quiet-seconds': { type: 'string' },
  repeat: { type: 'string' },
  services: { type: 'string' },
  nodes: { type: 'string' },
  /** The in-memory API even where a real one is to be had. */
  sandbox: { type: 'boolean', default: false },
  /** Keep CPU profiles of the controller and its forwarder in this directory. */
  profile: { type: 'string' },
} as const;

const say = (line: string): void => console.error(`bench: ${line}`);

function readArguments() {
  const { values } = parseArgs({ options });
  if (values.only !== undefined && !['controller', 'forwarder', 'vips', 'aws'].includes(values.only)) {
    throw new Error(`--only ${values.only}: must be controller, forwarder, vips or aws`);
  }
  const count = (name: 'quiet-seconds' | 'repeat' | 'services' | 'nodes', usual: number): number => {
    const value = Number(values[name] ?? usual);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${values[name]}: must be a whole number from 1`);
    return value;
  };
  const { short } = values;
  return {
    ...values,
    quietSeconds: count('quiet-seconds', short ? 3 : 600),
    repeat: count('repeat', short ? 1 : 3),
    services: count('services', short ? 20 : 1000),
    nodes: count('nodes', short ? 5 : 100),
  };
}

/** The forwarder's part, when it is there. */
async function benchForwarder(short: boolean): Promise<readonly (Section | undefined)[]> {
  const file = join(import.meta.dirname, 'forwarder.ts');
  if (!existsSync(file)) return [];
  const loaded = (await import(file)) as { benchForwarder(of: { short: boolean }): Promise<Section> };
  // The kernel path is measured as root on Linux only.
  const parts = [loaded.benchForwarder, benchKernel, benchUdp, benchKernelScale, benchChurn];
  const sections: (Section | undefined)[] = [];
  for (const part of parts) sections.push(await part({ short }));
  return sections;
}

/** The long form takes a quarter of an hour, most of it at AWS's usual limits. */
function benchAwsProvider(short: boolean): AsyncGenerator<Section> {
  const long = {
    services: [1, 100, 1000],
    nodes: 50,
    program: 'bundle',
    limits: 'usual',
    quietMs: 60_000,
    stillMs: 5_000,
  } as const;
  const quick = { services: [1, 100], nodes: 5, program: 'sources', limits: 'raised', quietMs: 1_000, stillMs: 3_500 } as const;
  return benchAws({ ...(short ? quick : long), say });
}

async function runAll(): Promise<readonly Section[]> {
  const given = readArguments();
  const { short } = given;
  const sections: Section[] = [];
  const add = (section: Section | undefined): void => {
    if (!section) return;
    sections.push(section);
    console.log(renderSection(section));
  };
  if ((given.only ?? 'controller') === 'controller') {
    const { services, nodes, repeat, quietSeconds, sandbox, profile } = given;
    const bundle = !short && existsSync(join(import.meta.dirname, '../../src/build.ts'));
    const [singles, idleMs] = short ? [10, 1_000] : [200, 5_000];
    add(await benchController({ services, nodes, repeat, quietSeconds, singles, idleMs, bundle, sandbox, profile, say }));
  }
  if ((given.only ?? 'forwarder') === 'forwarder') for (const section of await benchForwarder(short)) add(section);
  if ((given.only ?? 'vips') === 'vips') add(await benchVips(given.repeat, say));
  if ((given.only ?? 'aws') === 'aws') for await (const section of benchAwsProvider(short)) add(section);
  if (given.json !== undefined) writeFileSync(given.json, `${JSON.stringify(report(given, sections), null, 2)}\n`);
  return sections;
}

function report(given: object, sections: readonly Section[]): object {
  const { arch, platform, version } = process;
  const machine = {
    node: version,
    platform,
    arch,
    kernel: release(),
    cpus: cpus().length,
    cpu: cpus()[0]?.model,
    memoryMB: Math.round(totalmem() / 1e6),
  };
  const judged = sections.map((section) => ({
    ...section,
    figures: section.figures.map((figure) => ({ ...figure, met: meetsAim(figure) })),
  }));
  return { version: 1, at: new Date().toISOString(), machine, given, sections: judged };
}

try {
  await runAll();
} catch (error) {
  say(explain(error));
  process.exitCode = 1;
}
