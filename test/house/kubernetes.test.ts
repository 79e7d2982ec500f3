import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { chooseKubernetes } from '../e2e/kubernetes.ts';
import { root } from './sources.ts';

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const versions = ['1.33', ''].map((minor) => chooseKubernetes({ E2E_KUBERNETES: minor }).version);

test('the README supports the versions that the suite runs on, and no other', () => {
  const section = /### Supported Kubernetes\n([\s\S]*?)\n##/.exec(read('README.md'))?.[1] ?? '';
  const [oldest, newest] = versions.map((version) => version.split('.').slice(0, 2).join('.'));
  expect(section).toContain(`${oldest} and ${newest}, the oldest and the newest minor version`);
  expect([...section.matchAll(/\d+\.\d+\.\d+/g)].map(String)).toEqual(versions);
  expect(read('charts/nodeport-lb/README.md')).toContain(`On Kubernetes ${versions[1]} and ${versions[0]} with real nodes`);
});

test('every check of the repository runs on the oldest of them, too', () => {
  expect(read('.ci/run')).toContain('tests oldest 45 env E2E_KUBERNETES=1.33 npm run test:e2e');
});

test('another version is refused with those that there are', () => {
  expect(() => chooseKubernetes({ E2E_KUBERNETES: '1.20' })).toThrow('E2E_KUBERNETES=1.20: must be one of 1.36, 1.33');
});
