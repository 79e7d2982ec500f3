import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { Call } from '../../src/cli/command.ts';
import { followConfig } from '../../src/cli/reload.ts';
import { readConfigFile } from '../../src/config/file.ts';
import { controllerOptions } from '../../src/config/options.ts';
import { readOptions } from '../../src/config/read.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { keepLog } from '../kube/memory-api.ts';

jest.setTimeout(120_000); // the file is looked at every 2 s

let folder: string;
let path: string;
let stop = () => {};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  path = join(folder, 'config.yaml');
});
afterEach(async () => {
  stop();
  await rm(folder, { recursive: true });
});

/** As a kubelet does: the name is another file's from one moment to the next. */
async function put(content: string): Promise<void> {
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

async function readAll() {
  const { file, problems } = await readConfigFile(path);
  const read = readOptions(controllerOptions, { flags: {}, env: {}, ...(file ? { file } : {}) });
  return { values: { ...read.values, config: path }, problems: [...problems, ...read.problems] };
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!look()) {
    if (Date.now() > deadline) throw new Error(`it never came about that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a changed file reaches the provider; what is wrong is told and changes nothing, what needs a restart is named', async () => {
  await put('provider: local\nlocalPools: [10.0.0.0/28]\n');
  const log = keepLog();
  const given: unknown[] = [];
  const provider = {
    reload(options: { pools: readonly { addresses: unknown }[] }) {
      given.push(options.pools.map((p) => p.addresses));
      return [];
    },
  };
  const call = { values: (await readAll()).values, readAgain: readAll } as unknown as Call;
  stop = followConfig(call, provider as unknown as Provider, log);
  await put('provider: local\nlocalPools: [nonsense]\n');
  await until('it is told', () => log.lines.some((line) => line.includes('has become wrong')));
  expect(log.lines.at(-1)).toMatch(/localPools.*nonsense/); // which value is wrong
  expect(given).toEqual([]);
  await put('provider: local\nlocalPools: [10.1.0.0/28]\nlogLevel: debug\n');
  await until('it arrives', () => given.length > 0);
  expect(given).toEqual([[['10.1.0.0/28']]]);
  expect(log.lines.at(-1)).toMatch(/^warn.*read again.*restart.*"afterRestart":\["logLevel"\]/);
});
