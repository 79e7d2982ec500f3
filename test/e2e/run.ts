import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { explain } from '../../src/errors.ts';
import { removeLeftovers } from './lab/claim.ts';
import { prepareTools } from './tools.ts';

/**
 * `npm run test:e2e [-- FILE … -t NAME --json --outputFile FILE]`: prepares the tools, then runs jest over this directory
 * with what was given. Exits as jest does, with 2 when it cannot run at all.
 */
const ROOT = join(import.meta.dirname, '../..');
const TEST_MS = 180_000; // one scenario, with a control plane and half a dozen processes on a busy machine
const say = (line: string) => console.error(`e2e: ${line}`);

/** As for the other tests but for where they are, and one at a time: each lab wants the machine for itself. */
function jestConfig(): object {
  const { jest } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { jest: object };
  return {
    ...jest,
    rootDir: ROOT,
    testMatch: ['<rootDir>/test/e2e/**/*.test.ts'],
    testPathIgnorePatterns: ['/node_modules/'],
    maxWorkers: 1,
    testTimeout: TEST_MS,
  };
}

function runJest(): Promise<number> {
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(ROOT, 'node_modules/jest/bin/jest.js'),
  ];
  const own = ['--config', JSON.stringify(jestConfig()), '--runInBand', ...process.argv.slice(2)];
  const jest = spawn(process.execPath, [...args, ...own], { cwd: ROOT, stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals) => jest.kill(signal);
  process.on('SIGTERM', pass);
  process.on('SIGINT', pass);
  return new Promise((resolve) => jest.on('exit', (code) => resolve(code ?? 1)));
}

try {
  await prepareTools(say);
  await removeLeftovers();
  process.exitCode = await runJest();
  await removeLeftovers(); // what a test file that was cut off has left
} catch (error) {
  say(explain(error));
  process.exitCode = 2;
}
