import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { complaintIn, Load } from '../../../src/forwarder/kernel/load.ts';

let directory = '';
/** Stands for an `nft -i`: it reads a line of commands, then the text to its end, and complains of a word that it does not know. */
let nft = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'load-'));
  nft = join(directory, 'nft');
  const read = `read -r commands; cat /dev/fd/5 >${directory}/text; echo "$commands" >${directory}/commands`;
  const complain = `grep -q wrong ${directory}/text && echo 'Error: it is wrong' >&2`;
  writeFileSync(
    nft,
    `#!/bin/sh\n${read}\n${complain}\nread -r mark\nprintf 'Error: what is that\\n%s\\n^^^\\n' "$mark" >&2\ncat >/dev/null\n`,
  );
  chmodSync(nft, 0o755);
});

afterAll(() => rmSync(directory, { recursive: true }));

const textOf = () => readFileSync(join(directory, 'text'), 'utf8');

test('a text that is longer than any pipe comes whole, with a last line that the commands ask for', async () => {
  const load = new Load(nft);
  const line = 'x'.repeat(1_000);
  for (let i = 0; i < 1_000; i++) load.write(line);
  expect(await load.end()).toBe('');
  expect(textOf()).toBe(`${`${line}\n`.repeat(1_000)}define nplbwhole = 1\n`);
  expect(readFileSync(join(directory, 'commands'), 'utf8')).toBe('include "/dev/fd/5"; define nplbseen = $nplbwhole\n');
});

test('what nft complains of is told', async () => {
  const load = new Load(nft);
  load.write('wrong');
  expect(await load.end()).toBe('Error: it is wrong');
});

test('a command that is not there does not answer', async () => {
  const load = new Load(join(directory, 'no-such-nft'));
  load.write('x');
  expect(await load.end()).toBeUndefined();
  expect(load.isOver).toBe(true);
});

test('the complaint about the mark is none', () => {
  expect(complaintIn('Error: syntax error\nnplbdone\n        ^\n')).toBe('');
  expect(
    complaintIn('In file included from x:1:1-2:\n/dev/fd/5:3:1-3: Error: bad\nfoo\n^^^\nError: syntax error\nnplbdone\n'),
  ).toBe('In file included from x:1:1-2:\n/dev/fd/5:3:1-3: Error: bad\nfoo\n^^^');
  expect(complaintIn('Error: bad')).toBeUndefined();
});

test('a text that has not come through is no fault of its own', () => {
  const asked = 'include "/dev/fd/5"; define nplbseen = $nplbwhole';
  expect(complaintIn(`Error: unknown identifier 'nplbwhole'\n${asked}\n^^^\nError: syntax error\nnplbdone\n`)).toBeUndefined();
});
