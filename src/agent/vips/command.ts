import { execFile } from 'node:child_process';

const COMMAND_MS = 5_000;
const MOST_BYTES = 16 * 1_024 * 1_024;

/** Runs a command of a few milliseconds to its end. Rejects when it does not exit with 0 within 5 s. @returns its output */
export function runCommand(command: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: COMMAND_MS, maxBuffer: MOST_BYTES, killSignal: 'SIGKILL' } as const;
    const child = execFile(command, [...args], options, (error, stdout) => (error ? reject(error) : resolve(stdout)));
    child.stdin?.on('error', () => {}); // it may end without reading
    child.stdin?.end(input ?? '');
  });
}
