import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { until } from './until.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProcessOptions {
  /** For messages and the log's name. */
  readonly name: string;
  /** Network namespace that it lives in; undefined: this process's own. */
  readonly namespace?: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Gets both outputs, appended; with `talks` only standard error. */
  readonly logFile: string;
  /** Runs as nobody, without rights. */
  readonly unprivileged?: boolean;
  /** Standard input and output are pipes, see `child`. */
  readonly talks?: boolean;
}

/**
 * A process of the lab. It is killed by the kernel when this process dies, whatever way; children of its own are found by
 * their namespace.
 */
export class Process {
  readonly name: string;
  readonly logFile: string;
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    const inside = options.namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${options.namespace}`];
    const plain = options.unprivileged ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    // The signal comes second: a change of user takes it away (prctl(2), PR_SET_PDEATHSIG).
    const [command, ...args] = [...inside, ...plain, 'setpriv', '--pdeathsig', 'KILL', options.command, ...options.args];
    const log = openSync(options.logFile, 'a');
    const stdio: ('pipe' | 'ignore' | number)[] = options.talks ? ['pipe', 'pipe', log] : ['ignore', log, log];
    this.child = spawn(command ?? '', args, { env: options.env ?? process.env, stdio });
    closeSync(log);
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('exit', (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
    this.exited.catch(() => {}); // told to whoever waits for it
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get alive(): boolean {
    return this.#exit === undefined;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  /** SIGTERM, and waits for the end. @throws when it has not ended after `withinMs` */
  async stop(withinMs: number): Promise<Exit> {
    this.signal('SIGTERM');
    await until(() => !this.alive, { withinMs, what: `${this.name} ends on SIGTERM` });
    return this.exited;
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Waits until the log holds the pattern, beginning at `from` characters. @throws with the log's tail, also when it has ended */
  async logged(pattern: RegExp, withinMs: number, from = 0): Promise<RegExpExecArray> {
    try {
      return await until(
        () => {
          const found = pattern.exec(this.log().slice(from));
          if (!found && !this.alive) throw new Error('it has ended');
          return found ?? undefined;
        },
        { withinMs, what: `${this.name} logs ${pattern}` },
      );
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}\n${this.tail()}`);
    }
  }

  /** The log's last lines, for a message. */
  tail(lines = 20): string {
    return this.log().trimEnd().split('\n').slice(-lines).join('\n');
  }
}
