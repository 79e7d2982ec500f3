import { expect } from '@jest/globals';
import { type Promises, refused, type Stage } from './stage.ts';

async function tagsOf(stage: Stage, arn: string): Promise<Record<string, string | undefined>> {
  const { TagDescriptions } = await stage.elb.describeTags({ ResourceArns: [arn] });
  return Object.fromEntries((TagDescriptions?.[0]?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
}

const many = (count: number) => Array.from({ length: count }, (_, index) => ({ Key: `k${index}`, Value: 'v' }));

export const tagPromises: Promises = {
  'tags of a creation are there, on each kind': async (stage) => {
    const Tags = [{ Key: 'cluster', Value: 'test <&> "quoted"' }];
    const balancer = await stage.balancer({ Tags });
    const group = await stage.group({ Tags });
    const listener = await stage.listener(balancer, group, { Tags });
    const arns = [balancer.LoadBalancerArn, group.TargetGroupArn, listener.ListenerArn];
    const { TagDescriptions } = await stage.elb.describeTags({ ResourceArns: arns });
    expect(TagDescriptions).toEqual(arns.map((ResourceArn) => ({ ResourceArn, Tags })));
  },
  'tags are added, changed and taken away': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer({ Tags: [{ Key: 'a', Value: '1' }] });
    const ResourceArns = [LoadBalancerArn];
    await stage.elb.addTags({
      ResourceArns,
      Tags: [
        { Key: 'a', Value: '2' },
        { Key: 'b', Value: '' },
      ],
    });
    expect(await tagsOf(stage, LoadBalancerArn)).toEqual({ a: '2', b: '' });
    await stage.elb.removeTags({ ResourceArns, TagKeys: ['a', 'never'] });
    expect(await tagsOf(stage, LoadBalancerArn)).toEqual({ b: '' });
  },
  'fifty tags fit': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer({ Tags: many(20) });
    await stage.elb.addTags({ ResourceArns: [LoadBalancerArn], Tags: many(50) });
    await stage.elb.addTags({ ResourceArns: [LoadBalancerArn], Tags: [{ Key: 'k0', Value: 'changed' }] });
  },
  'fifty-one tags do not': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    await refused(stage.elb.addTags({ ResourceArns: [LoadBalancerArn], Tags: many(51) }), 'TooManyTagsException');
    await refused(stage.balancer({ Tags: many(51) }), 'TooManyTagsException');
  },
  'a key that begins with aws: is refused': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    const Tags = [{ Key: 'aws:mine', Value: '' }];
    await refused(stage.elb.addTags({ ResourceArns: [LoadBalancerArn], Tags }), 'ValidationError');
  },
  'the same key twice is refused': (stage) =>
    refused(
      stage.balancer({
        Tags: [
          { Key: 'a', Value: '1' },
          { Key: 'a', Value: '2' },
        ],
      }),
      'DuplicateTagKeysException',
    ),
  'twenty ARNs are read at a time': async (stage) => {
    const ResourceArns = await groupArns(stage, 20);
    expect((await stage.elb.describeTags({ ResourceArns })).TagDescriptions).toHaveLength(20);
  },
  'twenty-one are not': async (stage) => {
    const ResourceArns = await groupArns(stage, 21);
    await refused(stage.elb.describeTags({ ResourceArns }), 'ValidationError');
  },
  'tags of what is gone are not found, with the whole batch': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    const gone = await stage.group();
    await stage.elb.deleteTargetGroup({ TargetGroupArn: gone.TargetGroupArn });
    const ResourceArns = [LoadBalancerArn, gone.TargetGroupArn];
    await refused(stage.elb.describeTags({ ResourceArns }), 'TargetGroupNotFoundException');
  },
};

async function groupArns(stage: Stage, count: number): Promise<string[]> {
  const groups = await Promise.all(many(count).map(() => stage.group()));
  return groups.map(({ TargetGroupArn }) => TargetGroupArn);
}
