import { expect, test } from '@jest/globals';
import { createProvider } from '../../src/providers/registry.ts';
import { readChartFile } from './chart.ts';

/** Providers that the chart refuses because a pod of this version cannot have them. */
const refused = [
  .../missing := dict\n([\s\S]*?)\}\}/.exec(readChartFile('templates/refusals.yaml'))![1]!.matchAll(/^ {2}"(\w+)"/gm),
].map((match) => match[1]);

const log = { debug() {}, info() {}, warn() {}, error() {} };

test('the chart refuses aws as long as the program does; then take it out of templates/refusals.yaml', async () => {
  const asked = createProvider('aws', { clusterName: 'test', log, options: { region: 'eu-west-1', defaultScheme: 'internal' } });
  const told = await asked.then(
    () => '',
    (thrown: Error) => thrown.message,
  );
  expect(refused.includes('aws')).toBe(/no aws provider yet/.test(told));
});
