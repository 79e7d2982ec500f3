import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BIN = join(import.meta.dirname, '../../src/bin.js');

/** The demo as a process of its own, with a folder of its own for temporary files. */
export class RunningDemo {
  readonly exited: Promise<{ readonly code: number | null; readonly told: string }>;
  /** For its temporary files. */
  readonly folder: string;
  readonly #child: ChildProcess;
  #told = '';
  #aside = '';

  constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.folder = folder;
    child.stdout!.setEncoding('utf8').on('data', (chunk) => {
      this.#told += chunk;
    });
    child.stderr!.setEncoding('utf8').on('data', (chunk) => {
      this.#aside += chunk;
    });
    this.exited = new Promise((resolve) => child.once('close', (code) => resolve({ code, told: this.#told + this.#aside })));
  }

  /** Standard output so far. */
  get told(): string {
    return this.#told;
  }

  /** Standard error so far. */
  get toldAside(): string {
    return this.#aside;
  }

  /** Temporary files that are there now, but for what Node itself caches. */
  get leftovers(): readonly string[] {
    return readdirSync(this.folder).filter((name) => name !== 'node-compile-cache');
  }

  /** Waits until the output matches. @returns what the first group matched @throws when it ends without */
  async says(words: RegExp): Promise<string> {
    const heard = Promise.withResolvers<string>();
    const look = () => {
      const found = words.exec(this.#told)?.[1];
      if (found !== undefined) heard.resolve(found);
    };
    this.#child.stdout!.on('data', look);
    look();
    void this.exited.then(({ told }) => heard.reject(new Error(`it ended without saying ${words}:\n${told}`)));
    return heard.promise;
  }

  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  async end(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface DemoRun {
  /** Put before the program: `setpriv …`. */
  readonly before?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export function startDemo(args: readonly string[], { before = [], env = {} }: DemoRun = {}): RunningDemo {
  const folder = mkdtempSync(join(tmpdir(), 'demo-test-'));
  const [program, ...first] = [...before, process.execPath, BIN, 'demo', ...args];
  const child = spawn(program!, first, { env: { ...process.env, TMPDIR: folder, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  return new RunningDemo(child, folder);
}
