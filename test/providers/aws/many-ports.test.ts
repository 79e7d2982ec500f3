import { afterEach, expect, test } from '@jest/globals';
import { drop, want } from '../drive.ts';
import { type ChangeStage, makeChangeStage } from './change-stage.ts';
import { asking } from './changes.ts';

/** More than AWS tags with one call. */
const ports = Array.from({ length: 24 }, (_, at) => ({ port: 8_000 + at }));
const OURS = /^nodeport-lb\.io\//;

let stage: ChangeStage;
afterEach(() => stage.close());

test('an NLB of many ports is replaced, and goes', async () => {
  stage = await makeChangeStage();
  await stage.open([]);
  await stage.bring([asking({}, { ports })]);
  await stage.bring([asking({ scheme: 'internal' }, { ports })]);
  expect(stage.aws.loadBalancers().map(({ scheme }) => scheme)).toEqual(['internal']);
  expect(stage.aws.targetGroups()).toHaveLength(ports.length);
});

test('an NLB of many ports that is kept is let go with all its target groups', async () => {
  stage = await makeChangeStage({ timings: {} });
  await stage.open([]);
  await want(stage.provider, asking({}, { ports, settings: { retain: true } }));
  await drop(stage.provider, 'default/web');
  const { aws } = stage;
  const kept = [...aws.loadBalancers(), ...aws.targetGroups()];
  expect(kept).toHaveLength(1 + ports.length);
  expect(kept.flatMap(({ arn }) => Object.keys(aws.tagsOf(arn))).filter((tag) => OURS.test(tag))).toEqual([]);
});
