import { afterEach, describe, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import { typicalInstance } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved, refusalOf } from '../builders.ts';
import { accountOf, type ChangeStage, commonDoors, makeChangeStage } from './change-stage.ts';
import type { Change } from './changes.ts';

/** With the consent that a change of this way needs. */
function consenting(balancer: Balancer): Balancer {
  return { ...balancer, settings: { ...balancer.settings, allowDisruption: true } };
}

interface Leg {
  readonly from: Balancer;
  readonly to: Balancer;
  readonly way: Change['way'];
}

function legsOf({ one, other, way, back = way }: Change): readonly [Leg, Leg] {
  const [first, second] = [way, back].includes('gap') ? [consenting(one), consenting(other)] : [one, other];
  return [
    { from: first, to: second, way },
    { from: second, to: first, way: back },
  ];
}

/** Tells the rows in both directions; then those that are like no other again and again, with a process that dies at each of their writes in turn. */
export function tellChanges(changes: readonly Change[]): void {
  let stage: ChangeStage;
  afterEach(() => stage.close());

  async function begin(leg: Leg): Promise<void> {
    stage = await makeChangeStage();
    for (const number of [4, 5, 6]) stage.aws.addInstance(typicalInstance(number));
    await stage.open([]);
    await stage.bring([leg.from]);
  }

  /** Clients who can be served all the time are. */
  async function tell({ from, to, way }: Leg): Promise<boolean> {
    stage.expect(way === 'gap' ? [] : commonDoors(from, to));
    stage.writes.length = 0;
    const died = await stage.bring([to]);
    stage.expect([]);
    return died;
  }

  describe.each(changes)('$what', (change) => {
    const legs = legsOf(change);

    test('no client is without an answer, and what is replaced has its grace time', async () => {
      await begin(legs[0]);
      for (const leg of legs) {
        const before = stage.aws.loadBalancers().map(({ arn }) => arn);
        await tell(leg);
        const kept = stage.aws.loadBalancers().some(({ arn }) => before.includes(arn));
        expect([leg.way === 'place', stage.aws.loadBalancers().length]).toEqual([kept, 1]);
      }
      expect(stage.gaps).toEqual([]);
    });

    if (change.way === 'gap') {
      test('is refused with the reason unless the Service consents', async () => {
        await begin(legs[0]);
        const before = accountOf(stage);
        const refusal = refusalOf(() => stage.provider.adjust(change.other, nothingReserved));
        expect(refusal).toMatchObject({
          code: 'DisruptionNotAllowed',
          message: expect.stringMatching(/deleted before its succ/),
        });
        expect(accountOf(stage)).toEqual(before);
      });
    }

    if (change.like !== undefined) return;
    test('ends the same, and is told no worse, whichever write the process dies at', async () => {
      await begin(legs[0]);
      const ends: unknown[] = [];
      for (const leg of legs) {
        await tell(leg);
        ends.push(accountOf(stage));
      }
      for (let write = 1, isMore = true; isMore; write += 1) {
        isMore = false;
        for (const [at, leg] of legs.entries()) {
          stage.killAt(write);
          isMore = (await tell(leg)) || isMore;
          expect(accountOf(stage)).toEqual(ends[at]);
        }
      }
      expect(stage.gaps).toEqual([]);
    }, 120_000); // on a busy machine
  });
}
