import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { calls } from '../../src/kube/api.ts';
import { readSources } from '../house/sources.ts';
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

function grantsOf(some: readonly Rule[]): string[] {
  return some.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))),
  );
}

function describeCall(call: (typeof calls)[keyof typeof calls]): string {
  const subresource = 'subresource' in call ? `/${call.subresource}` : '';
  return `${call.verb} ${call.group}/${call.resource}${subresource}`;
}

/** The calls that are named in these sources, but for the controller's side of the agents' objects. */
function callsIn(...paths: readonly string[]): string[] {
  const own = readSources().filter(({ path }) => paths.some((p) => `src/${path}`.startsWith(p)) && path !== 'agent/board.ts');
  const named = Object.entries(calls).filter(([name]) => own.some(({ code }) => code.includes(`'${name}'`)));
  return named.map(([, call]) => describeCall(call));
}

const granted = grantsOf(rules);
const made = Object.values(calls).map(describeCall);

describe('the chart grants', () => {
  test('just the calls of the program', () => expect([...new Set(granted)].sort()).toEqual([...new Set(made)].sort()));

  test('nothing by a wildcard', () => expect(JSON.stringify(rules)).not.toContain('*'));

  test('leases by name only, but for the making of one, and where agents have theirs', () => {
    const unnamed = rules.filter((rule) => rule.resources.includes('leases') && rule.resourceNames === undefined);
    const ofAgents = [...(blocks.get('agent') ?? []), ...(blocks.get('reports') ?? [])];
    expect(unnamed.filter((rule) => !ofAgents.includes(rule)).map((rule) => rule.verbs)).toEqual([['create']]);
  });

  test('an agent what its own code calls, and nothing else', () => {
    const rules = ['services', 'nodes', 'agent'].flatMap((name) => blocks.get(name) ?? []);
    expect(grantsOf(rules).sort()).toEqual(callsIn('src/agent', 'src/controller/follow.ts').sort());
  });

  test('every block of rights to somebody', () => {
    const rbac = readChartFile('templates/rbac.yaml');
    for (const name of blocks.keys()) expect(rbac).toContain(`"${name}"`);
  });

  test('in a dry run no right to write', () => {
    const writes = [...blocks].filter(([, all]) =>
      all.some((rule) => rule.verbs.some((verb) => !/^(get|list|watch)$/.test(verb))),
    );
    expect(writes.map(([name]) => name).sort()).toEqual(['agent', 'events', 'lease', 'orders', 'status']);
    const rbac = readChartFile('templates/rbac.yaml');
    expect(rbac).toContain('.Values.dryRun | ternary (list "services" "stories")');
    expect(rbac).toContain('.Values.dryRun | ternary (list "reports")'); // agents go on, whatever the controller does
  });
});
