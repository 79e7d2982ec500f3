import { describe, expect, test } from '@jest/globals';
import { runDemo } from '../../../src/sandbox/demo/demo.ts';
import { Story } from '../../../src/sandbox/demo/story.ts';

function story(): { story: Story; lines: string[] } {
  const lines: string[] = [];
  return { story: new Story((line) => lines.push(line), { colour: false }), lines };
}

describe('a story', () => {
  test('keeps what is true and what is not apart, with what was found', () => {
    const { story: told, lines } = story();
    told.claim(true, 'water is wet');
    told.claim(false, 'the moon is cheese', 'it is rock');
    expect({ held: told.held, untrue: told.untrue }).toEqual({ held: 1, untrue: ['the moon is cheese (it is rock)'] });
    expect(lines.map((line) => line.replace(/^ *\d+ ms {2}/, ''))).toEqual([
      'water is wet',
      'NOT TRUE: the moon is cheese (it is rock)',
    ]);
  });

  test('goes on after a part that breaks, which counts as untrue', async () => {
    const { story: told } = story();
    await told.part('one', async () => {
      throw new Error('no answer');
    });
    await told.part('two', async () => told.claim(true, 'two holds'));
    expect({ held: told.held, untrue: told.untrue }).toEqual({ held: 1, untrue: ['one (no answer)'] });
  });

  test('says nothing after its end', () => {
    const { story: told, lines } = story();
    told.end();
    told.tell('late');
    expect(lines).toEqual([]);
  });
});

test('a demo whose controller dies says so at once, with its last words', async () => {
  const lines: string[] = [];
  const outcome = await runDemo({
    command: [process.execPath, '-e', 'console.error("I cannot go on"); process.exit(3)', '--'],
    provider: 'local',
    keep: false,
    write: (line) => lines.push(line),
    colour: false,
    signal: new AbortController().signal,
  });
  expect(outcome).toBe('untrue');
  const told = lines.join('\n');
  expect(told).toMatch(/ended by itself with exit code 3/);
  expect(told).toMatch(/I cannot go on/);
  expect(lines.length).toBeLessThan(30);
});
