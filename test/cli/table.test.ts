import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { renderAge, renderTable, wrapText } from '../../src/cli/table.ts';

const columns = [{ title: 'NAME', least: 6 }, { title: 'ADDRESS', least: 10 }, { title: 'AGE' }];

describe('table', () => {
  test('columns are as wide as their longest cell', () => {
    expect(
      renderTable(
        columns,
        [
          ['web', '10.0.0.1', '5s'],
          ['a-long-name', '-', '47m'],
        ],
        undefined,
      ),
    ).toBe('NAME         ADDRESS   AGE\nweb          10.0.0.1  5s\na-long-name  -         47m\n');
  });
  test('the widest column is cut first, and no more than needed', () => {
    expect(renderTable(columns, [['a-very-long-name-indeed', '10.0.0.1', '5s']], 30)).toBe(
      'NAME             ADDRESS   AGE\na-very-long-na…  10.0.0.1  5s\n',
    );
  });
  test('what may not be cut is not', () => {
    expect(renderTable([{ title: 'A' }], [['x'.repeat(100)]], 20)).toContain('x'.repeat(100));
  });
  test('no line is wider than the terminal while something can be cut', () => {
    const cell = fc.string({ maxLength: 60, unit: fc.constantFrom('a', 'b', '-') });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell, fc.constant('10m')), { maxLength: 20 }),
        fc.integer({ min: 30, max: 120 }),
        (rows, width) => {
          for (const line of renderTable(columns, rows, width).split('\n')) expect(line.length).toBeLessThanOrEqual(width);
        },
      ),
    );
  });
});

test.each([
  [0, '0s'],
  [119, '119s'],
  [120, '2m'],
  [200, '3m20s'],
  [600, '10m'],
  [10_799, '179m'],
  [10_800, '3h'],
  [18_600, '5h10m'],
  [43_200, '12h'],
  [172_799, '47h'],
  [172_800, '2d'],
  [187_200, '2d4h'],
  [3_456_000, '40d'],
])('%i seconds are %s', (seconds, age) => {
  expect(renderAge('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:00Z') + seconds * 1000)).toBe(age);
});

test('an age that is not known', () => expect(renderAge('', 0)).toBe('<unknown>'));

test('text is wrapped at blanks', () => expect(wrapText('one two three', 9, '  ')).toBe('  one two\n  three\n'));
