import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A process of the program, and what it has said. */
export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<{
    readonly code: number | null;
    readonly signal: string | null;
    readonly stdout: string;
    readonly stderr: string;
  }>;
  /** Resolves when what was said so far matches. @throws after `ms` */
  said(pattern: RegExp, ms?: number): Promise<void>;
}

/** The pinned Node on which the tests themselves run, or the machine's own, which may be an older one. */
export const pinnedNode = process.execPath;

const children = new Set<ChildProcess>();

/** Ends what a failed test has left behind. */
export function endAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

/** Starts `nodeport-lb ARGS…` with an environment of its own. */
export function start(
  args: readonly string[],
  options: { readonly node?: string; readonly env?: Record<string, string>; readonly bin?: string } = {},
): Running {
  const child = spawn(options.node ?? pinnedNode, [options.bin ?? `${root}src/bin.js`, ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  child.once('close', () => children.delete(child));
  let [stdout, stderr] = ['', ''];
  let wake = () => {};
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    wake();
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    wake();
  });
  const ended = new Promise<Awaited<Running['ended']>>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    said: (pattern, ms = 60_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${pattern} was not said within ${ms} ms:\n${stdout}${stderr}`)), ms);
        wake = () => {
          if (!pattern.test(stdout + stderr)) return;
          clearTimeout(timer);
          resolve();
        };
        wake();
        void ended.then(() => {
          clearTimeout(timer);
          reject(new Error(`it ended without saying ${pattern}:\n${stdout}${stderr}`));
        });
      }),
  };
}

/** Runs it to its end. */
export function run(args: readonly string[], options: Parameters<typeof start>[1] = {}): Running['ended'] {
  return start(args, options).ended;
}
