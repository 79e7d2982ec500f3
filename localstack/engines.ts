import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { prepareVenv } from './venv.ts';

/** An AWS end that runs on this machine. */
export interface Emulator {
  /** For `AWS_ENDPOINT_URL`. */
  readonly url: string;
  readonly close: () => Promise<void>;
}

export interface EngineOptions {
  /** 0: any free one. */
  readonly port: number;
  readonly say: (line: string) => void;
  /** Worker nodes that the strict sandbox has from the beginning; default 3. The others begin empty. */
  readonly instances?: number;
}

export const engines = { moto: startMoto, localstack: startLocalStack, strict: startStrict } as const;

const MOTO = '5.2.5';
const LOCALSTACK = '4.14.0';
const START_MS = 90_000;
const STOP_MS = 10_000;
const TAIL_CHARS = 4000;

/** moto alone: EC2 and Elastic Load Balancing v2 in one Python process. */
export async function startMoto({ port, say }: EngineOptions): Promise<Emulator> {
  const venv = await prepareVenv(
    {
      name: `moto-${MOTO}`,
      minors: [11, 12, 13, 10],
      packages: [`moto[server]==${MOTO}`],
      cure: 'On Debian: apt-get install python3-venv.',
    },
    say,
  );
  const server = launch(join(venv, 'bin/moto_server'), ['-H', '127.0.0.1', '-p', String(port)], {});
  const url = await server.says(/Running on (http:\/\/127\.0\.0\.1:\d+)/);
  return { url, close: server.stop };
}

/**
 * LocalStack's open core, which has EC2, with moto's Elastic Load Balancing v2 put into it. Its last open release; the pins are what it
 * needs to start at all. The variables keep it from calling home.
 */
export async function startLocalStack({ port, say }: EngineOptions): Promise<Emulator> {
  const venv = await prepareVenv(
    {
      name: `localstack-core-${LOCALSTACK}`,
      minors: [13],
      packages: [`localstack-core[runtime]==${LOCALSTACK}`, 'cbor2<6', 'pyopenssl<26', 'service_identity', 'setuptools'],
      source: join(import.meta.dirname, 'elbv2-by-moto'),
      cure: 'Install it, for instance with `pyenv install 3.13`.',
    },
    say,
  );
  const url = `http://127.0.0.1:${port || (await freePort())}`;
  const quiet = { DISABLE_EVENTS: '1', SKIP_SSL_CERT_DOWNLOAD: '1', DNS_ADDRESS: '0', EAGER_SERVICE_LOADING: '0' };
  const server = launch(join(venv, 'bin/python'), ['-m', 'localstack.runtime.main'], {
    ...quiet,
    GATEWAY_LISTEN: url.slice('http://'.length),
  });
  await server.answers(`${url}/_localstack/health`);
  return { url, close: server.stop };
}

/** The in-memory AWS of this repository, which refuses what AWS refuses. */
export async function startStrict({ port, instances = 3 }: EngineOptions): Promise<Emulator> {
  const program = join(import.meta.dirname, 'strict.ts');
  const server = launch(process.execPath, [program, '--port', String(port), '--instances', String(instances)], {});
  const url = await server.says(/(http:\/\/127\.0\.0\.1:\d+)/);
  return { url, close: server.stop };
}

/** One that nobody has at the moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

interface Launched {
  /** What the pattern's first group caught. @throws {Error} with the last that was said */
  readonly says: (pattern: RegExp) => Promise<string>;
  /** Waits until it answers with success. */
  readonly answers: (url: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

function launch(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Launched {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let broken: Error | undefined;
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-TAIL_CHARS);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.on('error', (error) => {
    broken = error;
  });
  const until = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
    const deadline = performance.now() + START_MS;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (broken || child.exitCode !== null || performance.now() > deadline) {
        await stop(child);
        throw new Error(`${command} did not start: ${broken?.message ?? said.trim()}`);
      }
      await pause(100);
    }
  };
  return {
    says: (pattern) => until(async () => pattern.exec(said)?.[1]),
    answers: async (url) => {
      await until(async () => ((await isUp(url)) ? true : undefined));
    },
    stop: () => stop(child),
  };
}

async function isUp(url: string): Promise<boolean> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined); // not listening yet
  return answer?.ok ?? false;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(timer);
}
