import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readConfigFile } from '../../src/config/file.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function readText(text: string) {
  const path = join(folder, 'config.yaml');
  await writeFile(path, text);
  return readConfigFile(path);
}

describe('the file of --config', () => {
  test('is YAML', async () => {
    const { file, problems } = await readText('provider: local\nhttp: off\nlocalPools:\n  - 10.0.0.0/28\n');
    expect(problems).toEqual([]);
    expect(file.content).toEqual({ provider: 'local', http: 'off', localPools: ['10.0.0.0/28'] });
  });

  test.each([
    { why: 'two errors are told together', text: 'a: [1\nb: {\n', told: /is not YAML: .* at line \d+, column \d+/ },
    { why: 'a key given twice', text: 'provider: a\nprovider: b\n', told: /Map keys must be unique at line 2/ },
    { why: 'aliases that grow without end', text: bomb(), told: /is not YAML that can be used/ },
  ])('$why', async ({ text, told }) => {
    const { file, problems } = await readText(text);
    expect(file.content).toBeUndefined();
    for (const problem of problems) expect(problem.message).toMatch(told);
    expect(problems.length).toBeGreaterThan(0);
  });

  test('a file that is too large is not read', async () => {
    expect((await readText('#'.repeat(2 ** 20 + 1))).problems[0]?.message).toContain('at most 1048576 are read');
  });

  test('a file that is not there', async () => {
    const { problems } = await readConfigFile(join(folder, 'absent.yaml'));
    expect(problems).toEqual([
      { where: '--config', value: join(folder, 'absent.yaml'), message: expect.stringContaining('ENOENT') },
    ]);
  });
});

function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 9; i++) lines.push(`a${i}: &a${i} [${`*a${i - 1},`.repeat(10)}]`);
  return lines.join('\n');
}
