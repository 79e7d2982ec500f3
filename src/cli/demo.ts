import { UsageError } from '../errors.ts';
import { runDemo as tellDemo } from '../sandbox/demo/demo.ts';
import type { Call } from './command.ts';

/** @returns 0 when all of it was true, 1 when something was not, 130 when it was interrupted */
export async function runDemo(call: Call): Promise<number> {
  const provider = call.values.provider ?? 'local';
  if (provider !== 'local' && provider !== 'aws') {
    throw new UsageError([{ where: '--provider', value: provider, message: 'must be local or aws' }]);
  }
  const signal = call.interrupted();
  const keep = call.values.keep === true;
  const outcome = await tellDemo({
    command: [process.execPath, ...process.execArgv, process.argv[1]!],
    provider,
    keep,
    write: (line) => call.out.write(`${line}\n`),
    colour: call.out.colour,
    signal,
  });
  return { true: 0, untrue: 1, interrupted: 130 }[outcome];
}
