import { readFileSync } from 'node:fs';
import type { Call, Terminal } from './cli/command.ts';
import { commands } from './cli/commands.ts';
import { type Parsed, parseCommandLine } from './cli/program.ts';
import { variableOf } from './config/option-names.ts';
import type { OptionValues } from './config/options.ts';
import { readOptions } from './config/read.ts';
import { explain, type Problem, UsageError } from './errors.ts';
import { exit } from './exit.ts';

/** argv -> command. The only place that ends the process. */

const version = readVersion();
/** kubectl finds its plugin under another name, which says so here. */
const programName = process.env['KUBECTL_NODEPORT_LB'] ? 'kubectl nodeport-lb' : 'nodeport-lb';
/** Longer lines of help are hard to read. */
const MOST_COLUMNS = 100;

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function main(): Promise<number> {
  const columns = Math.min(process.stdout.columns ?? 80, MOST_COLUMNS);
  const parsed = parseCommandLine(process.argv.slice(2), commands, { name: programName, version, columns });
  if ('exitCode' in parsed) {
    (parsed.exitCode === 0 ? process.stdout : process.stderr).write(parsed.text);
    return parsed.exitCode;
  }
  try {
    return await parsed.command.run(await describeCall(parsed));
  } catch (thrown) {
    return tell(parsed.command.name, thrown);
  }
}

/** @throws {UsageError} with everything that is wrong with command line, variables and file */
async function describeCall({ command, flags, operands, problems }: Parsed): Promise<Call> {
  const readAll = async () => {
    const found: Problem[] = [];
    const file = await findFile(flags['config']?.at(-1), found);
    const read = readOptions(command.options, { flags, env: process.env, ...(file ? { file } : {}) });
    return { values: read.values, problems: [...found, ...read.problems] };
  };
  const { values, problems: wrong } = await readAll();
  const told: Problem[] = [...problems, ...wrong, ...judgeOutput(values, command.outputs)];
  told.push(...((await command.judge?.(operands, values)) ?? []));
  if (told.length > 0) throw new UsageError(told);
  return {
    values,
    ...(values.config === undefined ? {} : { readAgain: readAll }),
    operands,
    env: process.env,
    version,
    out: terminal(process.stdout),
    err: terminal(process.stderr),
    interrupted,
  };
}

async function findFile(flag: string | true | undefined, problems: Problem[]) {
  const path = flag ?? process.env[variableOf('config')];
  if (typeof path !== 'string' || path === '') return undefined;
  const { readConfigFile } = await import('./config/file.ts'); // brings the YAML reader
  const read = await readConfigFile(path);
  problems.push(...read.problems);
  return read.file;
}

/** Which forms of output there are differs from command to command. */
function judgeOutput({ output }: OptionValues, outputs: readonly string[] | undefined): Problem[] {
  if (output === undefined || !outputs || outputs.includes(output)) return [];
  return [{ where: '--output', value: output, message: `must be ${outputs.join(', ')} here` }];
}

function terminal(stream: NodeJS.WriteStream): Terminal {
  const isTerminal = stream.isTTY === true;
  return {
    write: (text) => void stream.write(text),
    ...(isTerminal ? { columns: stream.columns } : {}),
    colour: isTerminal && !process.env['NO_COLOR'],
  };
}

/** Terminal, npm and bin.js each hand one Ctrl-C on, so it may come several times at once; a person's second comes later. */
const SAME_PRESS_MS = 200;

let interruption: AbortController | undefined;

function interrupted(): AbortSignal {
  if (interruption) return interruption.signal;
  const controller = new AbortController();
  interruption = controller;
  let firstAt: number | undefined;
  const heed = () => {
    firstAt ??= performance.now();
    if (!controller.signal.aborted) controller.abort();
    else if (performance.now() - firstAt > SAME_PRESS_MS) process.exit(130);
  };
  process.on('SIGINT', heed).on('SIGTERM', heed);
  return controller.signal;
}

/** Errors are for people: every problem of the usage on a line of its own, anything else in one line. */
function tell(command: string, thrown: unknown): number {
  const name = `${programName} ${command}`;
  if (thrown instanceof UsageError) {
    const lines = thrown.message.split('\n').map((line) => `${name}: ${line}\n`);
    process.stderr.write(`${lines.join('')}See ${name} --help.\n`);
    return 2;
  }
  process.stderr.write(`${name}: ${explain(thrown)}\n`);
  if (wantsStack() && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`);
  return 1;
}

/** The level may be what could not be read, so it is looked for without judging anything. */
function wantsStack(): boolean {
  return process.argv.join(' ').match(/--log-level[= ]debug/) !== null || process.env[variableOf('logLevel')] === 'debug';
}

/** A reader that has had enough (`| head`) is no fault. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
/** A fault of ours: whoever mends it needs the stack. */
process.on('uncaughtException', (thrown) => {
  process.stderr.write(`${programName}: ${explain(thrown)}\n${thrown.stack ?? ''}\n`);
  process.exit(1);
});

const exitCode = await main();
process.stdout.write('', () => exit(exitCode));
