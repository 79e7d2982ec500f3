import { DeleteListenerCommand, RemoveTagsCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { Refusal } from '../../errors.ts';
import { readBalancer } from './answers.ts';
import { type ActOf, type Bench, balancerOf } from './bench.ts';
import { isCalled } from './failures.ts';
import { TAG } from './names.ts';
import { arnsOf } from './shares.ts';

/** Tags an NLB that others made as used by us. @throws {Refusal} when it is not there, no NLB, or used by another balancer */
export async function adoptBalancer(
  { reader, tagging, inventory }: Bench,
  { arn, tags }: ActOf<'adopt-balancer'>,
): Promise<void> {
  const found = await reader.balancers({ LoadBalancerArns: [arn] }).catch((cause: unknown) => {
    if (!isCalled(cause, 'LoadBalancerNotFoundException')) throw cause;
    throw new Refusal('AwsResourceUnknown', `NLB ${arn} does not exist`, { cause });
  });
  const [answer] = found;
  if (answer?.Type !== 'network') throw new Refusal('AwsResourceUnknown', `${arn} is no Network Load Balancer`);
  const had = (await reader.tags([arn])).get(arn) ?? {};
  const holder = [had[TAG.cluster], had[TAG.balancer]];
  const isTaken = holder[0] !== undefined && (holder[0] !== tags[TAG.cluster] || holder[1] !== tags[TAG.balancer]);
  if (isTaken) throw new Refusal('AwsNameInUse', `NLB ${arn} is the balancer of ${holder[1]} in cluster ${holder[0]}`);
  await tagging.add([arn], tags);
  inventory.put('balancers', readBalancer(answer, { ...had, ...tags }));
}

/** Takes away what is ours of it, which is all listeners that send to our target groups, and our tags. The NLB itself stays. */
export async function leaveBalancer(bench: Bench, { balancer }: ActOf<'leave-balancer'>): Promise<void> {
  const { calls, reader, inventory } = bench;
  if (!inventory.balancerNamed(balancer)) return;
  const { arn } = balancerOf(bench, balancer);
  const ours = (await reader.listeners(arn)).filter((one) => arnsOf(one).some((group) => inventory.groups.has(group)));
  for (const { arn: ListenerArn } of ours) {
    await calls.elb('DeleteListener', (elb) => elb.send(new DeleteListenerCommand({ ListenerArn })));
  }
  const TagKeys = Object.values(TAG); // of an NLB: only target groups have more of them
  await calls.elb('RemoveTags', (elb) => elb.send(new RemoveTagsCommand({ ResourceArns: [arn], TagKeys })));
  inventory.remove('balancers', arn);
}
