import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { root } from './sources.ts';

const text = readFileSync(join(root, 'docs/stories.md'), 'utf8');

/** Every test that a table names, as its file and the words of its title, in quotes, that follow it. */
function namedTests(): readonly { readonly file: string; readonly title: string }[] {
  const rows = text.split('\n').filter((line) => line.startsWith('|') && line.includes('`'));
  return rows.flatMap((row) => {
    let file = '';
    const found = [...row.matchAll(/`([\w./-]+\.ts)`|"((?:\\"|[^"])+)"/g)];
    return found.flatMap(([, path, title]) => {
      if (path !== undefined) file = path;
      return title === undefined ? [] : [{ file, title: title.replaceAll('\\"', '"') }];
    });
  });
}

test('every test that docs/stories.md names is there (else: name the one that tells the story now)', () => {
  const named = namedTests();
  expect(named.length).toBeGreaterThan(100);
  const missing = named.filter(({ file, title }) => {
    const path = join(root, 'test', file);
    if (!existsSync(path)) return true;
    return !plain(readFileSync(path, 'utf8')).includes(plain(title));
  });
  expect(missing.map(({ file, title }) => `${file} "${title}"`)).toEqual([]);
});

test('every story has a test', () => {
  const rows = text.split('\n').filter((line) => /^\| (?!---)/.test(line) && !/\| test \|$/.test(line));
  expect(rows.filter((row) => !/`[\w./-]+\.ts`/.test(row))).toEqual([]);
});

/** However a title is quoted and broken in its file. */
function plain(source: string): string {
  return source.replaceAll("\\'", "'").replaceAll(/\s+/g, ' ');
}
