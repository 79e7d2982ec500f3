import { describe, expect, test } from '@jest/globals';
import type { CommandRow } from '../../src/cli/command.ts';
import { commands } from '../../src/cli/commands.ts';
import { parseCommandLine } from '../../src/cli/program.ts';

const row: CommandRow = {
  name: 'status',
  summary: 'what there is',
  operands: '[NAMESPACE/NAME]',
  least: 0,
  most: 1,
  options: ['namespace', 'allNamespaces', 'output', 'watch', 'localPool', 'dryRun'],
  outputs: ['text', 'json'],
  run: async () => 0,
};

const about = { name: 'nodeport-lb', version: '1.2.3', columns: 80 };

function parse(...argv: string[]) {
  return parseCommandLine(argv, [row], about);
}

describe('command line', () => {
  test.each<{ argv: string[]; flags: object; operands?: string[] }>([
    { argv: [], flags: {} },
    { argv: ['-n', 'shop', 'web'], flags: { namespace: ['shop'] }, operands: ['web'] },
    { argv: ['--namespace=shop', 'web'], flags: { namespace: ['shop'] }, operands: ['web'] },
    { argv: ['-nshop', '-ojson'], flags: { namespace: ['shop'], output: ['json'] } },
    { argv: ['-A', 'web'], flags: { allNamespaces: [true] }, operands: ['web'] },
    { argv: ['-Aw'], flags: { allNamespaces: [true], watch: [true] } },
    { argv: ['--watch', 'shop/web'], flags: { watch: [true] }, operands: ['shop/web'] },
    { argv: ['--watch=false', 'shop/web'], flags: {}, operands: ['shop/web'] },
    { argv: ['--watch=true'], flags: { watch: [true] } },
    { argv: ['--dry-run'], flags: { dryRun: [true] } },
    { argv: ['--dry-run=false'], flags: { dryRun: ['false'] } },
    { argv: ['--dry-run', 'false'], flags: { dryRun: ['false'] } },
    { argv: ['--local-pool', 'a', '--local-pool', 'b'], flags: { localPool: ['a', 'b'] } },
    { argv: ['-n', '--watch'], flags: { namespace: [true], watch: [true] } },
  ])('$argv', ({ argv, flags, operands = [] }) => {
    expect(parse('status', ...argv)).toMatchObject({ flags, operands, problems: [] });
  });

  test('everything that is wrong is told at once', () => {
    const parsed = parse('status', '--wacth', 'shop/web', '--keep', '--output', 'json', 'a', 'b', 'c', '--watch=perhaps');
    expect('problems' in parsed && parsed.problems.map((p) => `${p.where} ${p.value ?? ''}: ${p.message}`)).toEqual([
      '--wacth : is not a flag; did you mean --watch?',
      '--keep : is not a flag of this command',
      '--watch perhaps: must be true or false',
      'argument c: is one too many',
    ]);
  });
});

describe('what is shown', () => {
  test.each([
    { argv: ['--version'], exitCode: 0, text: /^1\.2\.3\n$/ },
    { argv: ['--help'], exitCode: 0, text: /status +what there is/ },
    { argv: ['help', 'status'], exitCode: 0, text: /-o, --output text\|json/ },
    { argv: ['status', '-h'], exitCode: 0, text: /\[OPTIONS\] \[NAMESPACE\/NAME\]/ },
    { argv: [], exitCode: 2, text: /Usage: nodeport-lb/ },
    { argv: ['stauts'], exitCode: 2, text: /unknown command 'stauts'\n\(Did you mean status\?\)/ },
    { argv: ['--kubeconfig', 'x', 'status'], exitCode: 2, text: /unknown option '--kubeconfig'/ },
  ])('$argv', ({ argv, exitCode, text }) => {
    const shown = parse(...argv);
    expect(shown).toMatchObject({ exitCode });
    expect('text' in shown && shown.text).toMatch(text);
  });
});

test('help of every command fits into 80 columns, but for a long list of choices', () => {
  for (const { name } of commands) {
    const shown = parseCommandLine([name, '--help'], commands, about);
    const lines = 'text' in shown ? shown.text.split('\n') : [];
    expect(lines.filter((line) => line.length > 80 && !/^ {2}--\S+ \S+$/.test(line))).toEqual([]);
    expect(lines.length).toBeGreaterThan(5);
  }
});

test.each([
  { name: 'demo', shows: /--provider local\|aws\s.*\(default: local\)/s, never: 'MODULE' },
  { name: 'status', shows: /--namespace NAMESPACE\s.*\(default:\s+all\s+of\s+them;/s, never: '(default: the context' },
])('help of $name says what it takes and goes by', ({ name, shows, never }) => {
  const shown = parseCommandLine([name, '--help'], commands, about);
  const text = 'text' in shown ? shown.text : '';
  expect(text).toMatch(shows);
  expect(text.match(/-n, --namespace.*?--|--provider.*/s)?.[0] ?? '').not.toContain(never);
});

test.each([
  { name: 'retire', own: ['--undo', '--help'] },
  { name: 'gc', own: ['--namespace', '--output', '--delete', '--release', '--help'] },
  { name: 'plan', own: ['--namespace', '--all-namespaces', '--output', '--file', '--adopt-from', '--exit-code', '--help'] },
])("help of $name: its own options first, then the controller's, then kubectl's", ({ name, own }) => {
  const shown = parseCommandLine([name, '--help'], commands, about);
  const parts = ('text' in shown ? shown.text : '').split(/^(?=\S.*:$)/m).slice(1);
  const flagsOf = (part = '') => [...part.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map((found) => found[1]);
  expect(parts.map((part) => part.split('\n', 1)[0])).toEqual(['Options:', "The controller's options:", "kubectl's own:"]);
  expect(flagsOf(parts[0])).toEqual(own);
  expect(flagsOf(parts[1]).slice(0, 4)).toEqual(['--config', '--kubeconfig', '--context', '--provider']);
  expect(flagsOf(parts[2])).toContain('--as-group');
});

test('help is given under the name that the program was called by', () => {
  const shown = parseCommandLine(['--help'], [row], { ...about, name: 'kubectl nodeport-lb' });
  expect('text' in shown && shown.text).toMatch(/^Usage: kubectl nodeport-lb /);
});
