import { type Actions, ec2Action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { flag, list, record, text } from '../shapes.ts';
import type { World } from '../world.ts';
import { interfacesOf } from './addresses.ts';

const tagShape = record({ Key: text, Value: text });
export const specificationShape = list(record({ ResourceType: text, Tag: list(tagShape) }));
type AskedTags = readonly ReturnType<typeof tagShape>[];

const create = record({ DryRun: flag, ResourceId: list(text, 1000), Tag: list(tagShape) }, ['ResourceId', 'Tag']);
const drop = record({ DryRun: flag, ResourceId: list(text, 1000), Tag: list(tagShape) }, ['ResourceId']);

export const ec2TagActions: Actions = {
  CreateTags: ec2Action(create, (world, { ResourceId, Tag }) => {
    for (const id of ResourceId) checkResource(world, id);
    const merged = ResourceId.map((id) => [id, mergeTags(world, world.tags.get(id), Tag)] as const);
    for (const [id, tags] of merged) world.tags.set(id, tags);
    return { return: true };
  }),
  DeleteTags: ec2Action(drop, (world, { ResourceId, Tag }) => {
    for (const id of ResourceId) checkResource(world, id);
    for (const id of ResourceId) removeTags(world.tags.get(id), Tag);
    return { return: true };
  }),
};

/** Without tags all go; a tag with a value goes only when it has that value. */
function removeTags(present: Map<string, string> | undefined, asked: AskedTags | undefined): void {
  if (!asked) present?.clear();
  for (const { Key = '', Value } of asked ?? []) {
    if (Value === undefined || present?.get(Key) === Value) present?.delete(Key);
  }
}

/** The tags of a creation. @throws {AwsFailure} InvalidParameterValue for those of another kind of resource */
export function tagsFor(specifications: ReturnType<typeof specificationShape> | undefined, kind: string): AskedTags {
  const stranger = specifications?.find(({ ResourceType }) => ResourceType !== kind);
  if (stranger) {
    const message = `'${stranger.ResourceType}' is not a valid taggable resource type for this operation.`;
    throw new AwsFailure('InvalidParameterValue', message);
  }
  return specifications?.flatMap(({ Tag }) => Tag ?? []) ?? [];
}

/** @throws {AwsFailure} InvalidParameterValue, TagLimitExceeded */
export function mergeTags(world: World, present: ReadonlyMap<string, string> | undefined, asked: AskedTags): Map<string, string> {
  const merged = new Map(present);
  const refuse = (message: string) => new AwsFailure('InvalidParameterValue', message);
  const seen = new Set<string>();
  for (const { Key = '', Value = '' } of asked) {
    if (Key === '') throw refuse('Tag key cannot be null or empty');
    if (/^aws:/i.test(Key)) throw refuse(`Tag keys starting with 'aws:' are reserved for internal use: '${Key}'`);
    if (Key.length > 128) throw refuse(`Tag key exceeds the maximum length of 128 characters: '${Key}'`);
    if (Value.length > 256) throw refuse(`Tag value exceeds the maximum length of 256 characters: '${Value}'`);
    if (seen.has(Key)) throw refuse(`Duplicate tag key '${Key}' specified.`);
    seen.add(Key);
    merged.set(Key, Value);
  }
  if (merged.size > world.limits.tagsPerResource) {
    throw new AwsFailure('TagLimitExceeded', `The maximum number of Tags for a resource has been reached.`);
  }
  return merged;
}

/** By the beginning of an id: is it there, and what is said when it is not. */
const kinds: Readonly<Record<string, { readonly code: string; readonly has: (world: World, id: string) => boolean }>> = {
  i: { code: 'InvalidInstanceID.NotFound', has: (world, id) => world.instances.has(id) },
  vpc: { code: 'InvalidVpcID.NotFound', has: (world, id) => world.vpcs.has(id) },
  subnet: { code: 'InvalidSubnetID.NotFound', has: (world, id) => world.subnets.has(id) },
  sg: { code: 'InvalidGroup.NotFound', has: (world, id) => world.securityGroups.seen(id) !== undefined },
  sgr: {
    code: 'InvalidSecurityGroupRuleId.NotFound',
    has: (world, id) => [...world.securityGroups.all()].some(({ rules }) => rules.has(id)),
  },
  eipalloc: { code: 'InvalidAllocationID.NotFound', has: (world, id) => world.addresses.has(id) },
  rtb: { code: 'InvalidRouteTableID.NotFound', has: (world, id) => world.routeTables.has(id) },
  igw: { code: 'InvalidInternetGatewayID.NotFound', has: (world, id) => world.gateways.has(id) },
  pl: { code: 'InvalidPrefixListID.NotFound', has: (world, id) => world.prefixLists.has(id) },
  eni: { code: 'InvalidNetworkInterfaceID.NotFound', has: (world, id) => interfacesOf(world).some((one) => one.id === id) },
};

function checkResource(world: World, id: string): void {
  const prefix = id.split('-')[0]!;
  const kind = Object.hasOwn(kinds, prefix) ? kinds[prefix] : undefined;
  if (!kind) throw new AwsFailure('InvalidID', `The ID '${id}' is not valid`);
  if (!kind.has(world, id)) throw new AwsFailure(kind.code, `The ID '${id}' does not exist`);
}
