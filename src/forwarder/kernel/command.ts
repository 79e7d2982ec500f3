import { spawn } from 'node:child_process';
import { delimiter } from 'node:path';

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
  const { input = '', timeoutMs = 10_000 } = options;
  return new Promise((resolve) => {
    const child = spawn(command, [...args], { env: commandEnvironment, timeout: timeoutMs, killSignal: 'SIGKILL' });
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (options.onStdout) options.onStdout(chunk);
      else text.stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text.stderr += chunk;
    });
    child.on('error', (error: NodeJS.ErrnoException) => resolve({ ...text, code: error.code ?? 'unknown' }));
    child.on('close', (code) => resolve({ ...text, code: code ?? -1 }));
    child.stdin.on('error', () => {}); // a command need not read what it is given
    child.stdin.end(input);
  });
}
