import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; -1 when a signal ended it, `ENOENT` and the like when it could not be started. */
  readonly code: number | string;
}

/** Root's commands are not on everybody's PATH. */
export const commandEnvironment = {
  ...process.env,
  PATH: [process.env['PATH'] ?? '', '/usr/sbin', '/sbin', '/usr/bin', '/bin'].join(delimiter),
  LC_ALL: 'C',
};

export interface CommandOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Takes what it prints as it comes; `stdout` stays empty then. */
  onStdout?(chunk: string): void;
}

/** Runs a command to its end, whatever that is; it is killed after `timeoutMs`. Never rejects. */
export function runCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<Output> {
  return new WaitingCommand(command, args).run(options);
}

/** Where a file may be made: of a container's file systems often only the first is writable. */
const FILE_DIRECTORIES = ['/dev/shm', tmpdir()];

/**
 * As `runCommand`, for a command that opens /dev/stdin by its name: what Node gives it otherwise is a socket, which cannot be opened.
 * @returns with a `code` such as `EROFS` where no file can be made
 */
export async function runWithFile(command: string, args: readonly string[], input: string, timeoutMs: number): Promise<Output> {
  let stdin: number;
  try {
    stdin = openInput(input);
  } catch (error) {
    return { stdout: '', stderr: '', code: (error as NodeJS.ErrnoException).code ?? 'unknown' };
  }
  try {
    return await new WaitingCommand(command, args, stdin).run({ timeoutMs });
  } finally {
    closeSync(stdin);
  }
}

/** A file that has no name any more, so that nothing is left of it. @throws when no directory takes it */
function openInput(input: string): number {
  let fault: unknown;
  for (const directory of FILE_DIRECTORIES) {
    try {
      return openNameless(directory, input);
    } catch (error) {
      fault = error;
    }
  }
  throw fault;
}

function openNameless(directory: string, input: string): number {
  const path = join(directory, `nodeport-lb-${randomUUID()}`);
  const file = openSync(path, 'wx+', 0o600);
  try {
    unlinkSync(path);
    writeFileSync(file, input);
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** A command that has been started and waits for what it shall read. To be run or ended. */
export class WaitingCommand {
  readonly #child: ChildProcess;
  #ended: number | string | undefined;
  #onEnd: (code: number | string) => void = () => {};

  /** @param stdin a file that it reads at once, instead of what `run` gives it */
  constructor(command: string, args: readonly string[], stdin: number | 'pipe' = 'pipe') {
    this.#child = spawn(command, [...args], { env: commandEnvironment, stdio: [stdin, 'pipe', 'pipe'] });
    this.#child.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? 'unknown'));
    this.#child.on('close', (code) => this.#end(code ?? -1));
    this.#child.stdin?.on('error', () => {}); // a command need not read what it is given
  }

  /** It has not waited. */
  get isOver(): boolean {
    return this.#ended !== undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Once. Never rejects. */
  run({ input = '', timeoutMs = 10_000, onStdout }: CommandOptions): Promise<Output> {
    const text = { stdout: '', stderr: '' };
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      if (onStdout) onStdout(chunk);
      else text.stdout += chunk;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text.stderr += chunk;
    });
    const timer = setTimeout(() => this.end(), timeoutMs);
    return new Promise((resolve) => {
      this.#onEnd = (code) => {
        clearTimeout(timer);
        resolve({ ...text, code });
      };
      if (this.#ended !== undefined) this.#onEnd(this.#ended);
      this.#child.stdin?.end(input);
    });
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }

  #end(code: number | string): void {
    this.#ended ??= code;
    this.#onEnd(this.#ended);
  }
}
