import type { Call, CommandRow } from '../../src/cli/command.ts';
import { commands } from '../../src/cli/commands.ts';
import { parseCommandLine } from '../../src/cli/program.ts';
import { readOptions } from '../../src/config/read.ts';
import { UsageError } from '../../src/errors.ts';

/** A command that runs in this process, and what it has said so far. */
export interface Called {
  readonly ended: Promise<number>;
  stdout(): string;
  stderr(): string;
  interrupt(): void;
  /** Resolves when what was said so far matches. @throws after a minute */
  said(pattern: RegExp): Promise<void>;
}

/**
 * Calls a command as main.ts does, without a process of its own.
 * @throws {UsageError} for a command line that is wrong
 */
export function call(argv: readonly string[], columns?: number): Called {
  const parsed = parseCommandLine(argv, commands, { name: 'nodeport-lb', version: '0.0.0', columns: 100 });
  if ('exitCode' in parsed) throw new Error(parsed.text);
  const { values, problems } = readOptions(parsed.command.options, { flags: parsed.flags, env: {} });
  if (parsed.problems.length + problems.length > 0) throw new UsageError([...parsed.problems, ...problems]);
  return start(parsed.command, { values, operands: parsed.operands }, columns);
}

function start(
  command: CommandRow,
  { values, operands }: Pick<Call, 'values' | 'operands'>,
  columns: number | undefined,
): Called {
  const interruption = new AbortController();
  const texts = { out: '', err: '' };
  let wake = () => {};
  const terminal = (name: 'out' | 'err') => ({
    colour: false,
    ...(columns === undefined ? {} : { columns }),
    write(text: string) {
      texts[name] += text;
      wake();
    },
  });
  const ended = command.run({
    values,
    operands,
    env: {},
    version: '0.0.0',
    out: terminal('out'),
    err: terminal('err'),
    interrupted: () => interruption.signal,
  });
  return {
    ended,
    stdout: () => texts.out,
    stderr: () => texts.err,
    interrupt: () => interruption.abort(),
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${pattern} was not said:\n${texts.out}${texts.err}`)), 60_000);
        wake = () => {
          if (!pattern.test(texts.out + texts.err)) return;
          clearTimeout(timer);
          resolve();
        };
        wake();
      }),
  };
}
