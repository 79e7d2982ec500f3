import { parseArgs } from 'node:util';
import { engines } from './engines.ts';

/**
 * `node localstack/start.ts [--engine moto|localstack|strict] [--port N]`: an AWS end on this machine, without Docker. Prints its URL once it
 * answers, and runs until it is ended. Exits 2 for a wrong flag, 1 when it does not start.
 */
const usage = 'usage: node localstack/start.ts [--engine moto|localstack|strict] [--port N]';

function readFlags() {
  const { values } = parseArgs({
    options: { engine: { type: 'string', default: 'moto' }, port: { type: 'string', default: '0' } },
  });
  const engine = Object.hasOwn(engines, values.engine) ? (values.engine as keyof typeof engines) : undefined;
  if (!engine) throw new Error(`--engine ${values.engine}: it is one of ${Object.keys(engines).join(', ')}`);
  const port = Number(values.port);
  if (!/^\d{1,5}$/.test(values.port) || port > 65535) throw new Error(`--port ${values.port}: it is a number from 0 to 65535`);
  return { engine, port };
}

const say = (line: string) => console.error(line);
try {
  const { engine, port } = readFlags();
  try {
    const emulator = await engines[engine]({ port, say });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void emulator.close());
    say(
      `${engine}: export AWS_ENDPOINT_URL=${emulator.url} AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test`,
    );
    console.log(emulator.url);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
} catch (error) {
  say(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  process.exitCode = 2;
}
