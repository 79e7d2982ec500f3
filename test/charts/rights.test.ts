import { describe, expect, test } from '@jest/globals';
import { calls } from '../../src/kube/api.ts';
import { readSources } from '../house/sources.ts';
import { readChartFile } from './chart.ts';
import { callsOfTable, describeCall, grantsOf, judgeRequests, readBlocks } from './grants.ts';

const blocks = readBlocks();
const rules = [...blocks.values()].flat();

/** The calls that are named in these sources, but for the controller's side of the agents' objects. */
function callsIn(...paths: readonly string[]): string[] {
  const own = readSources().filter(({ path }) => paths.some((p) => `src/${path}`.startsWith(p)) && path !== 'agent/board.ts');
  const named = Object.entries(calls).filter(([name]) => own.some(({ code }) => code.includes(`'${name}'`)));
  return named.map(([, call]) => describeCall(call));
}

const granted = grantsOf(rules);
const made = callsOfTable();

describe('the chart grants', () => {
  test('just the calls of the program', () => expect([...new Set(granted)].sort()).toEqual([...new Set(made)].sort()));

  test('nothing by a wildcard', () => expect(JSON.stringify(rules)).not.toContain('*'));

  test('leases by name only, but for the making of one, and where agents have theirs', () => {
    const unnamed = rules.filter((rule) => rule.resources.includes('leases') && rule.resourceNames === undefined);
    const ofAgents = [...(blocks.get('agent') ?? []), ...(blocks.get('reports') ?? [])];
    expect(unnamed.filter((rule) => !ofAgents.includes(rule)).map((rule) => rule.verbs)).toEqual([['create']]);
  });

  test('an agent what its own code calls, and nothing else', () => {
    const rules = ['services', 'endpoints', 'nodes', 'agent'].flatMap((name) => blocks.get(name) ?? []);
    const code = callsIn('src/agent', 'src/controller/follow.ts', 'src/controller/endpoints.ts');
    expect(grantsOf(rules).sort()).toEqual(code.sort());
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

describe('what a run of the end-to-end suite has asked for is held against it', () => {
  test('just that: nothing to say', () => expect(judgeRequests(made, granted)).toEqual({ tooFew: [], tooMany: [] }));

  test('one right too few is named', () => {
    const fewer = granted.filter((right) => right !== 'patch /events');
    expect(judgeRequests(made, fewer)).toEqual({ tooFew: ['patch /events'], tooMany: [] });
  });

  test('one right too many is named, also of another group or subresource', () => {
    expect(judgeRequests(made, [...granted, 'patch /services', 'list batch/jobs'])).toEqual({
      tooFew: [],
      tooMany: ['list batch/jobs', 'patch /services'],
    });
  });
});
