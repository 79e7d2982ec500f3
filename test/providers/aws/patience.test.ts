import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved } from '../builders.ts';
import { type ChangeStage, makeChangeStage } from './change-stage.ts';
import { asking } from './changes.ts';
import { worker } from './stage.ts';

let stage: ChangeStage;
let heal: () => void;
beforeEach(() => {
  heal = () => {};
});
afterEach(async () => {
  heal();
  await stage.close();
});

/** As in the controller: what can be done now, and then AWS has its time. */
async function work(wish: Balancer, passes: number): Promise<void> {
  for (let done = 0; done < passes; done += 1) {
    const wanted = stage.provider.adjust(wish, nothingReserved);
    for (const step of stage.provider.plan(wanted, await stage.provider.observe(wanted.key), stage.aws.world.now())) {
      if (step.waitsFor) break;
      await stage.provider.apply(step);
    }
    await stage.pause();
  }
}

/** Of all targets but the first worker's. */
function fail(health: 'unhealthy' | undefined): void {
  const targets = stage.aws.targetGroups().flatMap((group) => [...group.targets.values()]);
  for (const one of targets) if (one.id !== worker(1).providerId?.split('/').at(-1)) one.forced = health;
}

test('a zone that only goes is gone soon after the others have come to serve', async () => {
  const from = asking({ subnets: 'public-a,public-b' });
  const to = asking({ subnets: 'public-b' });
  stage = await makeChangeStage();
  await stage.open([]);
  heal = stage.aws.calls.watch(() => fail('unhealthy'));
  await stage.bring([from]);
  await work(to, 4);
  expect(stage.aws.loadBalancers()[0]?.zones).toHaveLength(2);
  heal();
  fail(undefined);
  const since = stage.aws.world.now();
  await stage.bring([to]);
  expect(stage.aws.loadBalancers()[0]?.zones.map(({ subnetId }) => subnetId)).toEqual(['subnet-public-b']);
  expect(stage.aws.world.now() - since).toBeLessThan(15 * 60_000);
});

test('a node that goes leaves, however long the check of the one that comes takes', async () => {
  const slow = { 'healthcheck-interval': '300', 'healthcheck-healthy-threshold': '3' };
  const seed = typicalAccount({ instances: 4 });
  stage = await makeChangeStage({ seed, timings: { activeMs: 60_000, healthyMs: 15 * 60_000 } });
  await stage.open([]);
  await stage.bring([asking(slow, { nodes: [worker(1)] })]);
  stage.advance(16 * 60_000);
  await stage.pause();
  stage.expect([{ port: 80, protocol: 'TCP' }]);
  const since = stage.aws.world.now();
  await stage.bring([asking(slow, { nodes: [worker(4)] })]);
  expect(stage.gaps).toEqual([]);
  const [group] = stage.aws.targetGroups();
  expect(stage.aws.targetsOf(group!.arn).map(({ id }) => id.at(-1))).toEqual(['4']);
  expect(stage.aws.world.now() - since).toBeLessThan(30 * 60_000); // else a sweep would have been waited for
});
