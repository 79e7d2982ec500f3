import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Lines of its log that are kept for when something goes wrong. */
const KEPT_LINES = 30;
/** Longer than the controller itself takes to give up. */
const KILL_AFTER_MS = 8_000;

/** The controller as a user runs it: a process of its own. */
export class ControllerProcess {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #exited: Promise<number>;
  #gone = false;

  /** @param command the program and the arguments that start it, without those of the controller */
  constructor(command: readonly string[], args: readonly string[]) {
    const [program, ...first] = command;
    const env = Object.entries(process.env).filter(([name]) => !/^(NODEPORT_LB_|KUBECONFIG$)/.test(name));
    this.#child = spawn(program!, [...first, 'controller', ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'], // by the channel it sees that we are gone, and ends
      env: Object.fromEntries(env),
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

  get gone(): boolean {
    return this.#gone;
  }

  /** Asks it to stop, as Kubernetes would. @returns its exit code; 128 when it had to be killed */
  async stop(): Promise<number> {
    if (!this.#gone) this.#child.kill('SIGTERM');
    const killing = setTimeout(() => this.#child.kill('SIGKILL'), KILL_AFTER_MS);
    const code = await this.#exited;
    clearTimeout(killing);
    return code;
  }
}
