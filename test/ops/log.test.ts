import { describe, expect, test } from '@jest/globals';
import { createLog, type LogOptions } from '../../src/ops/log.ts';

async function linesOf(
  options: Omit<LogOptions, 'write'>,
  say: (log: Awaited<ReturnType<typeof createLog>>) => void,
): Promise<string[]> {
  const lines: string[] = [];
  say(await createLog({ ...options, write: (line) => lines.push(line) }));
  return lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, ''));
}

const failure = new Error('no answer', { cause: new Error('ECONNREFUSED') });
const cycle: Record<string, unknown> = {};
cycle['itself'] = cycle;

describe('text', () => {
  test.each<{ why: string; fields: object; line: string }>([
    { why: 'words stand alone', fields: { key: 'a/b', n: 1, on: true }, line: 'INFO  said key=a/b n=1 on=true\n' },
    { why: 'text with blanks is quoted', fields: { a: 'x y', empty: '' }, line: 'INFO  said a="x y" empty=""\n' },
    { why: 'a line stays one line', fields: { a: 'x\ny' }, line: 'INFO  said a="x\\ny"\n' },
    { why: 'an error comes with its causes', fields: { error: failure }, line: 'INFO  said error="no answer: ECONNREFUSED"\n' },
    { why: 'objects are JSON', fields: { a: [1, { b: 2 }], none: null }, line: 'INFO  said a=[1,{"b":2}] none=null\n' },
    { why: 'what is absent is left out', fields: { a: undefined }, line: 'INFO  said\n' },
    {
      why: 'nothing makes it throw',
      fields: { cycle, big: 10n, s: Symbol('x') },
      line: 'INFO  said cycle=[not JSON] big=10 s=Symbol(x)\n',
    },
  ])('$why', async ({ fields, line }) => {
    expect(await linesOf({ level: 'info', format: 'text' }, (log) => log.info(fields, 'said'))).toEqual([line]);
  });

  test('less important lines are left out', async () => {
    const lines = await linesOf({ level: 'warn', format: 'text' }, (log) => {
      log.debug({}, 'd');
      log.info({}, 'i');
      log.warn({}, 'w');
      log.error({}, 'e');
    });
    expect(lines).toEqual(['WARN  w\n', 'ERROR e\n']);
  });

  test('with debug an error has its stack', async () => {
    const [line] = await linesOf({ level: 'debug', format: 'text' }, (log) => log.warn({ error: failure }, 'w'));
    expect(line).toMatch(/^WARN {2}w error="no answer: ECONNREFUSED"\nError: no answer\n {4}at /);
  });

  test('colour only on request', async () => {
    const [line] = await linesOf({ level: 'info', format: 'text', colour: true }, (log) => log.error({}, 'e'));
    expect(line).toBe('\u001b[31mERROR\u001b[0m e\n');
  });
});

test('JSON has level, time and message in words, and errors with their causes', async () => {
  const [line] = await linesOf({ level: 'info', format: 'json' }, (log) => log.warn({ key: 'a/b', error: failure }, 'said'));
  expect(JSON.parse(line!)).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    key: 'a/b',
    error: expect.objectContaining({ message: 'no answer', cause: expect.objectContaining({ message: 'ECONNREFUSED' }) }),
    msg: 'said',
  });
});
