import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { healthOf, type Judgement, judge, standing, type Verdict, verdicts } from '../../src/forwarder/verdict.ts';

const thresholds = { rise: 2, fall: 3, freshFall: 4 };

/** `+` a pass, `-` a failure; what is known after each. */
function story(answers: string, from: Verdict = verdicts.untried): string[] {
  let judgement: Judgement = { verdict: from, streak: 0 };
  return [...answers].map((answer) => {
    judgement = judge(judgement, answer === '+', thresholds);
    return Object.entries(verdicts).find(([, verdict]) => verdict === judgement.verdict)![0];
  });
}

test.each<{ why: string; answers: string; from?: Verdict; ends: string }>([
  { why: 'what is new needs one pass', answers: '+', ends: 'healthy' },
  { why: 'what is new and fails is not settled at once', answers: '---', ends: 'failing' },
  { why: 'what is new is unhealthy after freshFall failures', answers: '----', ends: 'unhealthy' },
  { why: 'what is new may fail and then pass', answers: '---+', ends: 'healthy' },
  { why: 'one failure makes suspect', answers: '-', from: verdicts.healthy, ends: 'suspect' },
  { why: 'a pass clears the suspicion', answers: '--+', from: verdicts.healthy, ends: 'healthy' },
  { why: 'fall failures in a row make unhealthy', answers: '--+---', from: verdicts.healthy, ends: 'unhealthy' },
  { why: 'one pass does not make healthy again', answers: '+', from: verdicts.unhealthy, ends: 'unhealthy' },
  { why: 'passes must be in a row', answers: '+-+', from: verdicts.unhealthy, ends: 'unhealthy' },
  { why: 'rise passes in a row make healthy', answers: '+-++', from: verdicts.unhealthy, ends: 'healthy' },
])('$why', ({ answers, from, ends }) => expect(story(answers, from).at(-1)).toBe(ends));

test('a suspect is still reported healthy, and what is not settled unknown: flapping is not reported', () => {
  expect(Object.values(verdicts).map(healthOf)).toEqual(['unknown', 'unknown', 'unknown', 'healthy', 'healthy', 'unhealthy']);
});

test('whatever the answers, enough passes end healthy and enough failures unhealthy', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('+', '-'), maxLength: 20 }), (answers) => {
      expect(story(`${answers}++`).at(-1)).toBe('healthy');
      expect(story(`${answers}----`).at(-1)).toBe('unhealthy');
    }),
  );
});

const { untried, failing, healthy, suspect, unhealthy } = verdicts;

test.each<{ why: string; node: Verdict; nodePort: Verdict; own?: Verdict; localOnly?: boolean; place: string }>([
  { why: 'all is well', node: healthy, nodePort: healthy, place: 'up' },
  { why: 'a NodePort that nobody has looked at is as its node', node: healthy, nodePort: untried, place: 'up' },
  { why: 'a new node waits for its first check', node: untried, nodePort: untried, place: 'spare' },
  { why: 'a suspect node is a last resort', node: suspect, nodePort: healthy, place: 'spare' },
  { why: 'a refusing NodePort is a last resort', node: healthy, nodePort: unhealthy, place: 'spare' },
  { why: 'a failing own check is a last resort', node: healthy, nodePort: healthy, own: failing, place: 'spare' },
  { why: 'with localOnly the own check decides', node: healthy, nodePort: untried, own: healthy, localOnly: true, place: 'up' },
  { why: 'with localOnly untried is not enough', node: healthy, nodePort: healthy, own: untried, localOnly: true, place: 'down' },
  {
    why: 'with localOnly a failed check is never tried',
    node: healthy,
    nodePort: healthy,
    own: unhealthy,
    localOnly: true,
    place: 'down',
  },
  {
    why: 'with localOnly a suspect is a last resort',
    node: healthy,
    nodePort: healthy,
    own: suspect,
    localOnly: true,
    place: 'spare',
  },
  {
    why: 'with localOnly and no own check the NodePort decides',
    node: healthy,
    nodePort: unhealthy,
    localOnly: true,
    place: 'down',
  },
])('$why', ({ node, nodePort, own, localOnly = false, place }) => {
  expect(standing({ node, nodePort, own, localOnly })).toBe(place);
});
