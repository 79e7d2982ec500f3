import { AwsFailure } from './failure.ts';
import type { Branch } from './query.ts';
import type { Reader } from './shapes.ts';
import type { World } from './world.ts';
import type { XmlObject } from './xml.ts';

/** One action of an API: reads its parameters, acts on the account, answers. It does all of it or nothing. */
export interface Action {
  /** @throws {BadParameter | AwsFailure} */
  readonly run: (world: World, request: Branch) => XmlObject;
}

export type Actions = Readonly<Record<string, Action>>;

export function action<T>(shape: Reader<T>, act: (world: World, input: T) => XmlObject): Action {
  return { run: (world, request) => act(world, shape(request, '')) };
}

/** As EC2 does it: with DryRun the answer is an error that says that it would have been done. */
export function ec2Action<T extends { readonly DryRun?: boolean | undefined }>(
  shape: Reader<T>,
  act: (world: World, input: T) => XmlObject,
): Action {
  return action(shape, (world, input) => {
    if (input.DryRun) throw new AwsFailure('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.');
    return act(world, input);
  });
}
