import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { Refusal, UsageError } from '../../src/errors.ts';
import { createProvider } from '../../src/providers/registry.ts';
import { balancer, nothingReserved, quiet } from './builders.ts';

const context = { clusterName: 'c1', log: quiet, options: {} };

function modulePath(name: string): string {
  return fileURLToPath(new URL(`./modules/${name}`, import.meta.url));
}

test.each(['none', 'local', 'aws'])('%s comes with the program', async (name) => {
  expect((await createProvider(name, context)).name).toBe(name);
});

test.each(['complete.js', 'common.cjs'])('a module by its path: %s', async (file) => {
  const provider = await createProvider(modulePath(file), context);
  expect(provider.name).toBe('complete');
  expect(await provider.keys()).toEqual(['c1']);
});

test('a module refuses with a code of the table without importing anything of ours', async () => {
  const provider = await createProvider(modulePath('complete.js'), context);
  const refuse = (pool: string) => () => provider.adjust(balancer({ pool }), nothingReserved);
  expect(refuse('PoolUnknown')).toThrow(Refusal);
  expect(refuse('PoolUnknown')).toThrow('told by the module. Name a pool of the configuration.');
  expect(refuse('NoSuchCode')).not.toThrow(Refusal);
  expect(refuse('NoSuchCode')).toThrow('told by the module');
});

test('what a module refuses while it applies keeps its code, and the connections that it counts are counted', async () => {
  const provider = await createProvider(modulePath('complete.js'), context);
  const step = { kind: 'refuse', summary: '', reason: '', disrupts: false };
  await expect(provider.apply(step)).rejects.toThrow(Refusal);
  expect(await provider.connections?.()).toBe(7);
});

test('a path that begins with ./ counts from the working directory', async () => {
  const here = process.cwd();
  const relative = `./${modulePath('complete.js').slice(here.length + 1)}`;
  expect((await createProvider(relative, context)).name).toBe('complete');
});

test.each([
  { why: 'nothing', name: '', says: /Name a provider/ },
  { why: 'a misspelt name', name: 'locla', says: /"locla": There is no such provider; did you mean local\?/ },
  { why: 'an unknown name', name: 'haproxy', says: /"haproxy": It is none of none, local and aws.*package must be installed/ },
  { why: 'no such file', name: './nowhere.js', says: /"\.\/nowhere\.js": .*path begins with/ },
  { why: 'a module that does not load', name: modulePath('broken.js'), says: /this module does not load/ },
  { why: 'no createProvider', name: modulePath('empty.js'), says: /does not export a function createProvider/ },
  { why: 'createProvider fails', name: modulePath('failing.js'), says: /LB_TOKEN is not set/ },
  {
    why: 'methods are missing',
    name: modulePath('lacking.js'),
    says: /lacks the methods close, adjust, observe, plan, apply, report\./,
  },
  { why: 'a name that is ours', name: modulePath('misnamed.js'), says: /name is "local"/ },
])('a usage error for people: $why', async ({ name, says }) => {
  const created = createProvider(name, context);
  await expect(created).rejects.toThrow(UsageError);
  await expect(created).rejects.toThrow(says);
});
