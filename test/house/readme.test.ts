import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { annotationTable, PREFIX } from '../../src/config/annotation-table.ts';
import { flagOf } from '../../src/config/option-names.ts';
import { controllerOptions } from '../../src/config/options.ts';
import { cures } from '../../src/errors.ts';
import { fillTables } from '../docs/tables.ts';
import { root } from './sources.ts';

const readme = readFileSync(join(root, 'README.md'), 'utf8');

test('the tables of the README are those of the code (else: npm run docs)', () => expect(readme).toBe(fillTables(readme)));

describe('both ways', () => {
  const between = (name: string) => readme.split(`<!-- ${name} -->`)[1]!.split(`<!-- /${name} -->`)[0]!;
  const firstCells = (text: string) => [...text.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!);

  test('reason codes', () => expect(firstCells(between('reasons'))).toEqual(Object.keys(cures)));
  test('options', () => expect(firstCells(between('options'))).toEqual(controllerOptions.map(flagOf)));
  test('annotations', () => {
    const named = firstCells(between('annotations').split('\n\n')[0]!);
    expect(named).toEqual(Object.keys(annotationTable).map((name) => PREFIX + name));
  });
});

test('reason codes are what metav1.Condition allows, and every cure is a sentence', () => {
  for (const [code, cure] of Object.entries(cures)) {
    expect(code).toMatch(/^[A-Z][A-Za-z0-9]{0,1022}$/);
    expect(cure).toMatch(/^[A-Z].*\.$/);
  }
});
