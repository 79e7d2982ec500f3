import type { SeenListener } from './picture.ts';
import type { DesiredGroup, DesiredListener } from './ports.ts';

/** Every target group of ours that the listeners send to. */
export function groupsOf(listeners: readonly DesiredListener[]): readonly DesiredGroup[] {
  return listeners.flatMap(({ group, spread }) => [group, ...(spread?.others ?? []).flatMap((one) => one.group ?? [])]);
}

/** ARNs of all target groups that a listener sends to. */
export function arnsOf({ groupArn, forward }: Pick<SeenListener, 'groupArn' | 'forward'>): readonly string[] {
  return forward ? forward.map(({ arn }) => arn) : [groupArn];
}
