import { expect, test } from '@jest/globals';
import { humanDuration } from '../../../src/sandbox/kube/durations.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test.each<{ seconds: number; text: string }>([
  { seconds: -5, text: '<invalid>' },
  { seconds: -1, text: '0s' },
  { seconds: 0, text: '0s' },
  { seconds: 119, text: '119s' },
  { seconds: 120, text: '2m' },
  { seconds: 3 * MINUTE + 20, text: '3m20s' },
  { seconds: 10 * MINUTE + 20, text: '10m' },
  { seconds: 3 * HOUR - 1, text: '179m' },
  { seconds: 3 * HOUR, text: '3h' },
  { seconds: 5 * HOUR + 12 * MINUTE, text: '5h12m' },
  { seconds: 8 * HOUR + MINUTE, text: '8h' },
  { seconds: 2 * DAY + 3 * HOUR, text: '2d3h' },
  { seconds: 14 * DAY + HOUR, text: '14d' },
  { seconds: 2 * 365 * DAY + 40 * DAY, text: '2y40d' },
  { seconds: 9 * 365 * DAY, text: '9y' },
])('$seconds s is $text', ({ seconds, text }) => {
  expect(humanDuration(seconds * 1000)).toBe(text);
});
