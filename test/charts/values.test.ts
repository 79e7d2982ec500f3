import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { type Option, options } from '../../src/config/options.ts';
import { root } from '../house/sources.ts';
import { optionValues, readChartFile, type Schema, schema, values } from './chart.ts';
import { fillValuesTable, readValueRows } from './values-table.ts';

const rows = readValueRows(readChartFile('values.yaml'));
const optionNames = optionValues.map(([value]) => value);

/** Values that are the chart's own, and no flag of the program. */
const OWN = [
  ...['image', 'imagePullSecrets', 'nameOverride', 'fullnameOverride', 'replicaCount', 'resources', 'nodeSelector'],
  ...['tolerations', 'affinity', 'topologySpreadConstraints', 'podAnnotations', 'podLabels', 'serviceAccount', 'rbac'],
  ...['extraArgs', 'extraEnv', 'extraVolumes', 'extraVolumeMounts', 'forwarder', 'metrics', 'priorityClassName'],
  ...['podDisruptionBudget', 'networkPolicy', 'cleanupOnUninstall'],
];

function schemaOf(value: string): Schema {
  const found = schema.properties?.[value];
  if (!found) throw new Error(`the schema has no ${value}`);
  return found;
}

describe('the options of the controller', () => {
  test('are the values, but for those of the chart itself', () =>
    expect(Object.keys(values).sort()).toEqual([...optionNames, ...OWN].sort()));

  test('are what is written into the configuration file', () => {
    const list = /range \$key := list\n([\s\S]*?)\}\}/.exec(readChartFile('templates/_config.tpl'))?.[1] ?? '';
    expect([...list.matchAll(/"(\w+)"/g)].map((match) => match[1])).toEqual(optionNames);
  });

  test.each(optionValues)('%s: the default is one that the program takes, or none', (value, name) => {
    const given = values[value];
    const kind: Option<unknown>['kind'] = options[name].kind;
    const isNone = given === '' || (typeof given === 'object' && Object.keys(given ?? {}).length === 0);
    const faults: string[] = [];
    if (!isNone) kind.read(given, (message) => faults.push(message));
    expect(faults).toEqual([]);
  });

  test.each(optionValues)('%s: the words are those of the help', (value, name) => {
    const help = (text: string) => text.split(/[;(,]/)[0]!.trim();
    expect(rows.find((row) => row.name === value)?.help).toContain(help(options[name].help));
  });

  const choices = optionValues.filter(([, name]) => options[name].kind.type === 'choice');
  test.each(choices.filter(([value]) => value !== 'localForwarder'))('%s: the schema has the same choices', (value, name) => {
    const texts = new Set(schemaOf(value).enum?.map(String));
    expect([...texts]).toEqual(options[name].kind.metavar.split('|'));
  });

  const texts = optionValues.filter(([, name]) => options[name].kind.type === 'text');
  test.each(texts)('%s: the schema takes what the program takes', (value, name) => {
    const pattern = new RegExp(schemaOf(value).pattern ?? '^$');
    const samples = [
      options[name].example,
      'a',
      'a-1',
      'shop',
      'example.com/lb',
      'vpc-0a1b2c3d',
      'us-gov-east-1',
      './p.js',
      '@a/b',
    ];
    for (const sample of samples.filter((text) => options[name].kind.read(text, () => {}) !== undefined)) {
      expect({ sample, taken: pattern.test(sample) }).toEqual({ sample, taken: true });
    }
    expect(pattern.test('a b')).toBe(false);
  });

  test('the schema refuses a forwarder in the pod', () => expect(schemaOf('localForwarder').enum).toEqual(['agents']));
});

describe('values.schema.json', () => {
  /** Helm gives it to the charts that another one depends on. */
  const BESIDES = ['global'];

  test('knows just the values that there are', () => {
    const names = (given: unknown, told: Schema, prefix: string): readonly string[] =>
      Object.entries(told.properties ?? {}).flatMap(([key, part]) => {
        const inner = (given as Readonly<Record<string, unknown>> | undefined)?.[key];
        return part.properties && Object.keys(inner ?? {}).length > 0 && !rows.some((row) => row.name === prefix + key)
          ? names(inner, part, `${prefix}${key}.`)
          : [prefix + key];
      });
    const known = names(values, schema, '').filter((name) => !BESIDES.includes(name));
    expect([...known].sort()).toEqual(rows.map((row) => row.name).sort());
  });

  test('what it refuses by a pattern is told in words: the pattern is a group with a name, which Helm prints', () => {
    const patterns = [...readChartFile('values.schema.json').matchAll(/"pattern": "(.*)"/g)].map(([, pattern = '']) => pattern);
    expect(patterns.length).toBeGreaterThan(20);
    expect(patterns.filter((pattern) => !/^\^\(\?<\w{10,}>.*\)\$$/.test(pattern))).toEqual([]);
  });

  test('leaves no object open, but those that somebody else judges', () => {
    const open: string[] = [];
    const visit = (part: Schema, place: string): void => {
      const isObject = part.type === 'object' || (Array.isArray(part.type) && part.type.includes('object'));
      const closed = part.additionalProperties === false || typeof part.additionalProperties === 'object';
      if (isObject && !closed && !part.$comment) open.push(place);
      for (const [key, inner] of Object.entries(part.properties ?? {})) visit(inner, `${place}.${key}`);
      if (part.items) visit(part.items, `${place}[]`);
    };
    visit(schema, '');
    expect(open).toEqual([]);
  });
});

describe('documentation', () => {
  test('every value has a comment', () => expect(rows.filter((row) => row.help === '').map((row) => row.name)).toEqual([]));

  test('the table of the README is that of values.yaml (else: npm run docs)', () => {
    const readme = readChartFile('README.md');
    expect(readme).toBe(fillValuesTable(readme));
  });

  test('the chart installs the version that is here', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(parse(readChartFile('Chart.yaml'))).toMatchObject({ appVersion: version });
  });
});
