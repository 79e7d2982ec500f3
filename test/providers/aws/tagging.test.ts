import { CreateTargetGroupCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { AwsCalls } from '../../../src/providers/aws/calls.ts';
import { usualBuckets } from '../../../src/providers/aws/limiter.ts';
import { Tagging } from '../../../src/providers/aws/tagging.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { credentials, makeAws } from './stage.ts';

const NEVER_MS = 3_600_000;

let aws: SandboxAws;
let calls: AwsCalls;

beforeEach(async () => {
  aws = await makeAws();
  calls = new AwsCalls({ region: aws.region, endpoint: aws.url, credentials, attempts: 1 }, usualBuckets);
});
afterEach(async () => {
  calls.close();
  await aws.close();
});

async function makeGroup(name: string): Promise<string> {
  const input = { Name: name, Protocol: 'TCP', Port: 80, VpcId: 'vpc-1' } as const;
  const { TargetGroups } = await calls.elb('CreateTargetGroup', (elb) => elb.send(new CreateTargetGroupCommand(input)));
  return TargetGroups![0]!.TargetGroupArn!;
}

test('what gets the same tags at the same moment shares a call, what gets others has its own', async () => {
  const [a, b, c] = [await makeGroup('a'), await makeGroup('b'), await makeGroup('c')];
  const tagging = new Tagging(calls);
  await Promise.all([
    tagging.add([a!], { team: 'shop' }),
    tagging.add([b!], { team: 'shop' }),
    tagging.add([c!], { team: 'bank' }),
  ]);
  expect(aws.calls.counts()['AddTags']).toBe(2);
  expect([a, b, c].map((arn) => aws.tagsOf(arn!)['team'])).toEqual(['shop', 'shop', 'bank']);
});

test('a call that is full goes at once, however long others could still join it', async () => {
  const arns: string[] = [];
  for (let at = 0; at < 20; at += 1) arns.push(await makeGroup(`g-${at}`));
  const tagging = new Tagging(calls, NEVER_MS);
  await Promise.all(arns.map((arn) => tagging.add([arn], { team: 'shop' })));
  expect(aws.calls.counts()['AddTags']).toBe(1);
  expect(arns.every((arn) => aws.tagsOf(arn)['team'] === 'shop')).toBe(true);
});
