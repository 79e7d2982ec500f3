import { expect, test } from '@jest/globals';
import { splitJsonLines } from '../../src/kube/lines.ts';

function splitAt(bytes: Buffer, size: number): unknown[] {
  const values: unknown[] = [];
  const feed = splitJsonLines((value) => values.push(value));
  for (let from = 0; from < bytes.length; from += size) feed(bytes.subarray(from, from + size));
  return values;
}

test('chunks of every size give the same values, also inside a character', () => {
  const values = [{ a: 'ä' }, { b: '€😀' }, 3, { c: [1, 2] }];
  const bytes = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join('\n'));
  for (let size = 1; size <= bytes.length; size += 1) expect(splitAt(bytes, size)).toEqual(values);
});

test('a line that is not whole yet is kept back', () => {
  expect(splitAt(Buffer.from('{"a":1}\n{"b":'), 100)).toEqual([{ a: 1 }]);
});

test('garbage and endless lines are refused', () => {
  expect(() => splitAt(Buffer.from('<html>\n'), 100)).toThrow(SyntaxError);
  const feed = splitJsonLines(() => {});
  const megabyte = Buffer.alloc(1024 * 1024, 'x');
  expect(() => {
    for (let i = 0; i < 17; i += 1) feed(megabyte);
  }).toThrow('longer than');
});
