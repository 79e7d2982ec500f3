import { spawn } from 'node:child_process';

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; -1 when a signal ended it. */
  readonly code: number;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Whole text of standard input. */
  readonly input?: string | Buffer;
  /** Default one minute; it is killed then. */
  readonly timeoutMs?: number;
}

/** A command that ended with anything but 0. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  readonly output: Output;

  constructor(command: string, args: readonly string[], output: Output) {
    const tail = (output.stderr || output.stdout).trim().split('\n').slice(-15).join('\n');
    super(`${[command, ...args].join(' ').slice(0, 300)} ended with ${output.code}: ${tail}`);
    this.output = output;
  }
}

/** Runs a command to its end. @throws {CommandFailed} unless it exits with 0 */
export async function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<Output> {
  const output = await tryRun(command, args, options);
  if (output.code !== 0) throw new CommandFailed(command, args, output);
  return output;
}

/** Runs a command to its end, whatever that is. Rejects only when it cannot be started. */
export function tryRun(command: string, args: readonly string[], options: CommandOptions = {}): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: options.env ?? process.env,
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ ...text, stderr: text.stderr + (signal ? `\nended by ${signal}` : ''), code: code ?? -1 }),
    );
    child.stdin.on('error', () => {}); // a command need not read what it is given
    child.stdin.end(options.input ?? '');
  });
}

/** Waits until no other process holds the lock on the file, then holds it until `release` or the end of this process. */
export function holdLock(file: string): Promise<{ release(): void }> {
  return new Promise((resolve, reject) => {
    const child = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`flock ${file} ended with ${code}`)));
    child.stdout.once('data', () => resolve({ release: () => child.stdin.end() }));
  });
}
