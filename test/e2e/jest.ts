import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

export interface Suite {
  readonly match: string;
  readonly ignore?: readonly string[];
  /** For one test, milliseconds. */
  readonly testMs: number;
}

/** Runs jest over a suite with what the command line says, configured as for the other tests. @returns its exit code */
export function runSuite(suite: Suite): Promise<number> {
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(ROOT, 'node_modules/jest/bin/jest.js'),
  ];
  const own = ['--config', JSON.stringify(configure(suite)), ...process.argv.slice(2)];
  const jest = spawn(process.execPath, [...args, ...own], { cwd: ROOT, stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals) => jest.kill(signal);
  process.on('SIGTERM', pass);
  process.on('SIGINT', pass);
  return new Promise((resolve) => jest.on('exit', (code) => resolve(code ?? 1)));
}

/** One file at a time, unless `--maxWorkers` says otherwise: labs never meet, but each wants the machine for itself. */
function configure({ match, ignore = [], testMs }: Suite): object {
  const { jest } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { jest: object };
  return {
    ...jest,
    rootDir: ROOT,
    testMatch: [`<rootDir>/${match}`],
    testPathIgnorePatterns: ['/node_modules/', ...ignore.map((path) => `<rootDir>/${path}`)],
    maxWorkers: 1,
    testTimeout: testMs,
  };
}
