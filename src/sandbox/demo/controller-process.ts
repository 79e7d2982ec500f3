import { type ChildProcess, spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { ask } from './ask.ts';
import { until } from './story.ts';

/** Lines of its log that are kept for when something goes wrong. */
const KEPT_LINES = 30;
/** Longer than the controller itself takes to give up. */
const KILL_AFTER_MS = 8_000;

/** The controller as a user runs it: a process of its own. */
export class ControllerProcess {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #exited: Promise<number>;
  readonly #httpPort: number;
  #gone = false;
  #stopping = false;

  /**
   * @param command the program and the arguments that start it, without those of the controller
   * @param surroundings `httpPort`: a free port of 127.0.0.1, for its /readyz; `env`: variables beside this process's own
   */
  constructor(
    command: readonly string[],
    args: readonly string[],
    { httpPort, env: more }: { readonly httpPort: number; readonly env: Readonly<Record<string, string>> },
  ) {
    this.#httpPort = httpPort;
    const [program, ...first] = command;
    const env = Object.entries(process.env).filter(([name]) => !/^(NODEPORT_LB_|KUBECONFIG$|AWS_)/.test(name));
    this.#child = spawn(program!, [...first, 'controller', '--http', `127.0.0.1:${httpPort}`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'], // by the channel it sees that we are gone, and ends
      env: { ...Object.fromEntries(env), ...more },
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line);
        if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      });
    }
    this.#exited = new Promise((resolve) => {
      const end = (code: number) => {
        this.#gone = true;
        resolve(code);
      };
      this.#child.once('error', (error) => {
        this.#lines.push(String(error));
        end(127);
      });
      this.#child.once('close', (code) => end(code ?? 128));
    });
  }

  /** Its last words. */
  get log(): readonly string[] {
    return this.#lines;
  }

  /** Resolves with the exit code when it ends without having been asked to. */
  get died(): Promise<number> {
    return this.#exited.then((code) => (this.#stopping ? new Promise(() => {}) : code));
  }

  /** Waits until it has taken in the cluster and done what there was to do. @returns false after `deadlineMs` */
  async ready(deadlineMs: number): Promise<boolean> {
    const found = await until(async () => {
      const answer = await ask('127.0.0.1', this.#httpPort, '/readyz').catch(() => undefined);
      return answer?.status === 200 || this.#gone ? true : undefined;
    }, deadlineMs);
    return found === true && !this.#gone;
  }

  /** Asks it to stop, as Kubernetes would. @returns its exit code; 128 when it had to be killed */
  async stop(): Promise<number> {
    if (!this.#gone) {
      this.#stopping = true;
      this.#child.kill('SIGTERM');
    }
    const killing = setTimeout(() => this.#child.kill('SIGKILL'), KILL_AFTER_MS);
    const code = await this.#exited;
    clearTimeout(killing);
    return code;
  }
}

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
