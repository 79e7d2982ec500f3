import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { list, record, text, textOf } from '../shapes.ts';
import type { World } from '../world.ts';
import { mergeTags, tagsShape } from './tag-rules.ts';

const arns = list(text, 20); // in one call
const add = record({ ResourceArns: arns, Tags: tagsShape }, ['ResourceArns', 'Tags']);
const remove = record({ ResourceArns: arns, TagKeys: list(textOf(1, 128)) }, ['ResourceArns', 'TagKeys']);
const describe = record({ ResourceArns: arns }, ['ResourceArns']);

export const tagActions: Actions = {
  AddTags: action(add, (world, { ResourceArns, Tags }) => {
    checkResources(world, ResourceArns, 'now');
    const merged = ResourceArns.map((arn) => [arn, mergeTags(world, world.tags.get(arn), Tags)] as const);
    for (const [arn, tags] of merged) world.tags.set(arn, tags);
    return {};
  }),
  RemoveTags: action(remove, (world, { ResourceArns, TagKeys }) => {
    checkResources(world, ResourceArns, 'now');
    for (const arn of ResourceArns) for (const key of TagKeys) world.tags.get(arn)?.delete(key);
    return {};
  }),
  DescribeTags: action(describe, (world, { ResourceArns }) => {
    checkResources(world, ResourceArns, 'seen');
    return {
      TagDescriptions: ResourceArns.map((ResourceArn) => ({
        ResourceArn,
        Tags: [...(world.tags.get(ResourceArn) ?? [])].map(([Key, Value]) => ({ Key, Value })),
      })),
    };
  }),
};

/** @param as `seen`: as reads find them. @throws {AwsFailure} that of the kind which is not there */
function checkResources(world: World, arns: readonly string[], as: 'now' | 'seen'): void {
  if (arns.length === 0) throw new AwsFailure('ValidationError', 'At least one resource ARN must be specified');
  for (const arn of arns) {
    const kind = arn.split(':')[5]?.split('/')[0];
    const there = <T>(shelf: { get(id: string): T | undefined; seen(id: string): T | undefined }) =>
      as === 'now' ? shelf.get(arn) : shelf.seen(arn);
    switch (kind) {
      case 'loadbalancer':
        if (!there(world.loadBalancers)) throw new AwsFailure('LoadBalancerNotFound', `Load balancers '[${arn}]' not found`);
        break;
      case 'targetgroup':
        if (!there(world.targetGroups)) throw new AwsFailure('TargetGroupNotFound', `Target groups '${arn}' not found`);
        break;
      case 'listener':
        if (!there(world.listeners)) throw new AwsFailure('ListenerNotFound', `Listener '${arn}' not found`);
        break;
      default:
        throw new AwsFailure('ValidationError', `'${arn}' is not a valid resource ARN`);
    }
  }
}
