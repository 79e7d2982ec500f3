import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { completeLock, missingPackages, readLock } from './lock.ts';
import { root } from './sources.ts';

test('the lock file names no registry', () => {
  expect(Object.values(readLock().packages).filter((entry) => entry.resolved !== undefined)).toEqual([]);
});

test('the lock file has every package of every platform (else: npm run lock)', () => {
  expect(missingPackages(readLock()).map((one) => one.name)).toEqual([]);
});

test('the lock file is of this package.json (else: npm run lock)', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(readLock().packages['']).toMatchObject({ dependencies, devDependencies, optionalDependencies });
});

test('a platform package that is missing is completed by what its name tells', () => {
  const lock = {
    packages: { 'node_modules/tool': { version: '1.0.0', dev: true, optionalDependencies: { 'tool-linux-x64-musl': '1.0.0' } } },
  };
  expect(completeLock(lock).packages['node_modules/tool-linux-x64-musl']).toEqual({
    version: '1.0.0',
    dev: true,
    optional: true,
    cpu: ['x64'],
    os: ['linux'],
    libc: ['musl'],
  });
  expect(missingPackages(completeLock(lock))).toEqual([]);
});
