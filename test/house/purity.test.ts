import { describe, expect, test } from '@jest/globals';
import { importsOf, readSources, type Source, withoutStrings } from './sources.ts';

/** Files that decide and do nothing else: no clock, no chance, no environment, no log, nothing to wait for. */
const pure: readonly string[] = [
  'agent/names.ts',
  'agent/orders.ts',
  'agent/place.ts',
  'agent/report.ts',
  'agent/vips/fitness.ts',
  'agent/vips/former.ts',
  'agent/vips/links.ts',
  'agent/vips/log-line.ts',
  'agent/vips/plan.ts',
  'agent/vips/render.ts',
  'agent/vips/stage.ts',
  'model.ts',
  'errors.ts',
  'config/addresses.ts',
  'config/annotation-table.ts',
  'config/annotation-values.ts',
  'config/annotations.ts',
  'config/config.ts',
  'config/foreign-annotations.ts',
  'config/kinds.ts',
  'config/nearest.ts',
  'config/option-names.ts',
  'config/options.ts',
  'config/pools.ts',
  'config/read.ts',
  'controller/claim.ts',
  'controller/intent.ts',
  'controller/keep.ts',
  'controller/rivals.ts',
  'controller/share.ts',
  'controller/status.ts',
  'controller/targets.ts',
  'forwarder/balance.ts',
  'forwarder/kernel/counted.ts',
  'forwarder/kernel/departures.ts',
  'forwarder/kernel/needs.ts',
  'forwarder/kernel/plan.ts',
  'forwarder/kernel/ruleset.ts',
  'forwarder/kernel/slots.ts',
  'forwarder/paths.ts',
  'forwarder/rules.ts',
  'forwarder/table.ts',
  'forwarder/problems.ts',
  'kube/endpoint-slices.ts',
  'kube/objects.ts',
  'config/aws-annotations.ts',
  'config/aws-lint.ts',
  'providers/aws/answers.ts',
  'providers/aws/checks.ts',
  'providers/aws/current.ts',
  'providers/aws/defaults.ts',
  'providers/aws/desired.ts',
  'providers/aws/instances.ts',
  'providers/aws/plan-groups.ts',
  'providers/aws/plan-listeners.ts',
  'providers/aws/plan-removal.ts',
  'providers/aws/plan-security.ts',
  'providers/aws/plan.ts',
  'providers/aws/ports.ts',
  'providers/aws/report.ts',
  'providers/aws/rules.ts',
  'providers/aws/steps.ts',
  'providers/aws/subnets.ts',
  'providers/aws/wish.ts',
  'providers/local/node-ports.ts',
  'providers/local/plan.ts',
  'providers/local/report.ts',
  'providers/local/rules.ts',
  'providers/provider.ts',
  'cli/plan-adopt-judge.ts',
  'cli/plan-adopt-pools.ts',
  'cli/plan-adopt-ranges.ts',
  'cli/plan-adopt-rivals.ts',
  'cli/plan-adopt-services.ts',
  'cli/plan-adopt-text.ts',
  'cli/plan-document.ts',
  'cli/plan-merge.ts',
  'cli/plan-notes.ts',
  'cli/plan-overlay.ts',
  'cli/plan-standing.ts',
  'cli/plan-text.ts',
  'cli/plan-unveil.ts',
  'cli/program.ts',
  'cli/status-rows.ts',
  'cli/status-text.ts',
  'cli/story.ts',
  'cli/table.ts',
  'cli/ways.ts',
];

const impure: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: 'waits', pattern: /\bawait\b|\basync\b|\bsetTimeout\b|\bsetInterval\b|\bsetImmediate\b|\bqueueMicrotask\b/ },
  { what: 'reads the clock', pattern: /\bDate\.now\b|\bnew Date\(\)|\bperformance\b/ },
  { what: 'takes chances', pattern: /\bMath\.random\b|\brandomUUID\b|\brandomBytes\b/ },
  { what: 'reads the environment', pattern: /\bprocess\./ },
  { what: 'writes', pattern: /\bconsole\.|\blog\.(?:debug|info|warn|error)\(/ },
];

/** Node's own modules that compute and do nothing. */
const harmless = ['node:net', 'node:util', 'node:path'];

const sources = readSources();

describe.each(pure)('%s', (path) => {
  const source = sources.find((one) => one.path === path);
  test('is there', () => expect(source).toBeDefined());
  test('is pure', () => expect(source && faultsOf(source)).toEqual([]));
});

function faultsOf(source: Source): readonly string[] {
  const modules = importsOf(source).filter((name) => name.startsWith('node:') && !harmless.includes(name));
  return [
    ...impure.filter(({ pattern }) => pattern.test(withoutStrings(source.code))).map(({ what }) => what),
    ...modules.map((name) => `imports ${name}`),
  ];
}

test('what is not pure is seen', () => {
  const code =
    "import { readFileSync } from 'node:fs';\nconst t = Date.now() + Math.random();\nconsole.log(process.argv);\nawait t;";
  expect(faultsOf({ path: 'x.ts', text: code, code })).toEqual([
    'waits',
    'reads the clock',
    'takes chances',
    'reads the environment',
    'writes',
    'imports node:fs',
  ]);
});
