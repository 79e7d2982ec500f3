import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { calls } from '../../src/kube/api.ts';
import { readChartFile } from './chart.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** The chart's blocks of rules, by their name. They are plain YAML, but for the name of the Lease. */
function readBlocks(): ReadonlyMap<string, readonly Rule[]> {
  const define = /\{\{- define "nodeport-lb\.rights\.(\w+)" -\}\}\n([\s\S]*?)\{\{- end \}\}/g;
  const found = readChartFile('templates/_rights.tpl').matchAll(define);
  return new Map([...found].map(([, name = '', body = '']) => [name, parse(body.replaceAll(/\{\{.*?\}\}/g, 'x')) as Rule[]]));
}

const blocks = readBlocks();
const rules = [...blocks.values()].flat();

const granted = rules.flatMap(({ apiGroups, resources, verbs }) =>
  apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))),
);

const made = Object.values(calls).map((call) => {
  const subresource = 'subresource' in call ? `/${call.subresource}` : '';
  return `${call.verb} ${call.group}/${call.resource}${subresource}`;
});

describe('the chart grants', () => {
  test('just the calls of the program', () => expect([...new Set(granted)].sort()).toEqual([...new Set(made)].sort()));

  test('nothing by a wildcard', () => expect(JSON.stringify(rules)).not.toContain('*'));

  test('leases by name only, but for the making of one', () => {
    const unnamed = rules.filter((rule) => rule.resources.includes('leases') && rule.resourceNames === undefined);
    expect(unnamed.map((rule) => rule.verbs)).toEqual([['create']]);
  });

  test('every block of rights to somebody', () => {
    const rbac = readChartFile('templates/rbac.yaml');
    for (const name of blocks.keys()) expect(rbac).toContain(`"${name}"`);
  });

  test('in a dry run no right to write', () => {
    const writes = [...blocks].filter(([, all]) =>
      all.some((rule) => rule.verbs.some((verb) => !/^(get|list|watch)$/.test(verb))),
    );
    expect(writes.map(([name]) => name).sort()).toEqual(['events', 'lease', 'status']);
    expect(readChartFile('templates/rbac.yaml')).toContain('.Values.dryRun | ternary (list "services")');
  });
});
