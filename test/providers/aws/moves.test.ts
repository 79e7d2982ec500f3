import { afterEach, describe, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import { accountOf, type ChangeStage, makeChangeStage } from './change-stage.ts';
import { nlb } from './stage.ts';

const web = nlb();
const api = nlb({ name: 'api', ports: [{ port: 8443 }] });
const SHARE = 'default/share:front';

/** One NLB for these. */
function sharing(...members: readonly Balancer[]): Balancer {
  const [first] = members as [Balancer];
  return {
    ...first,
    key: SHARE,
    members: members.flatMap((one) => one.members),
    listeners: members.flatMap((one) => one.listeners),
  };
}

let stage: ChangeStage;
afterEach(() => stage.close());

const stories: readonly { what: string; before: readonly Balancer[]; after: readonly Balancer[]; isMirrored?: true }[] = [
  { what: 'joins a group that is new', before: [web], after: [sharing(web)] },
  { what: 'joins a group that serves', before: [web, sharing(api)], after: [sharing(api, web)] },
  { what: 'leaves a group that stays', before: [sharing(api, web)], after: [web, sharing(api)], isMirrored: true },
];
const keysOf = (...lists: readonly (readonly Balancer[])[]): readonly string[] => [
  ...new Set(lists.flat().map(({ key }) => key)),
];

describe.each(stories)('a Service that $what', ({ before, after, isMirrored }) => {
  test('is served all the time, and where it was for the grace time more', async () => {
    stage = await makeChangeStage();
    await stage.open([]);
    stage.follow('uid-default-web');
    await stage.bring(before);
    stage.expect([{ port: 80, protocol: 'TCP' }]);
    await stage.bring(after, keysOf(before, after));
    expect(stage.gaps).toEqual([]);
    expect(stage.aws.loadBalancers()).toHaveLength(after.length);
    expect(stage.aws.listeners()).toHaveLength(after.flatMap(({ listeners }) => listeners).length);
  });

  if (isMirrored) return; // both ways are told above
  test('ends the same, both ways, whichever write the process dies at', async () => {
    stage = await makeChangeStage();
    await stage.open([]);
    stage.follow('uid-default-web');
    await stage.bring(before);
    stage.expect([{ port: 80, protocol: 'TCP' }]);
    const ends: unknown[] = [];
    for (const wishes of [after, before]) {
      await stage.bring(wishes, keysOf(before, after));
      ends.push(accountOf(stage));
    }
    for (let write = 1, isMore = true; isMore; write += 1) {
      isMore = false;
      for (const [at, wishes] of [after, before].entries()) {
        stage.killAt(write);
        isMore = (await stage.bring(wishes, keysOf(before, after))) || isMore;
        expect(accountOf(stage)).toEqual(ends[at]);
      }
    }
    expect(stage.gaps).toEqual([]);
  }, 120_000); // on a busy machine
});
