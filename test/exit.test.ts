import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

/** 40 MB that nobody needs any more when the process ends. */
const PROGRAM = `
  import { getHeapStatistics } from 'node:v8';
  import { exit } from '${new URL('../src/exit.ts', import.meta.url)}';
  let garbage = Array.from({ length: 50_000 }, (_, i) => Array.from({ length: 100 }, () => i));
  const before = getHeapStatistics().used_heap_size;
  process.on('exit', () => console.log(JSON.stringify({ before, after: getHeapStatistics().used_heap_size })));
  garbage = undefined;
  exit(3);
`;

test('a process ends with its code, after a garbage collection', async () => {
  const ending = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  });
  const { code, stdout } = (await ending.catch((failed: unknown) => failed)) as {
    readonly code?: number;
    readonly stdout: string;
  };
  expect(code).toBe(3);
  const { before, after } = JSON.parse(stdout) as { readonly before: number; readonly after: number };
  expect(before).toBeGreaterThan(40e6);
  expect(after).toBeLessThan(before / 2);
});
