import { cures } from '../../errors.ts';
import type { Bench } from './bench.ts';
import type { Inventory } from './inventory.ts';
import { TAG } from './names.ts';
import type { SeenSecurityGroup } from './picture.ts';
import type { Ground } from './preflight.ts';
import type { Surveyor } from './surveyor.ts';

/** What the start has found out, as far as it matters when the permissions are tried. */
export function surveyGround(
  { clusterName, inventory }: Pick<Bench, 'clusterName' | 'inventory'>,
  surveyor: Surveyor,
  { region, vpcId }: Pick<Ground, 'region' | 'vpcId'>,
): Ground {
  const facts = surveyor.facts();
  return {
    region,
    clusterName,
    accountId: facts?.accountId,
    vpcId: facts?.vpcId ?? vpcId,
    nodeGroupId: surveyor.nodeGroups[0],
    ownGroupId: inventory.backend()?.id,
    proven: provenBy(inventory),
  };
}

/** What an inventory that has been read shows by being as it is: somebody was allowed to make it so. */
function provenBy(inventory: Inventory): readonly string[] {
  const backend = inventory.backend();
  const admits = ({ rules }: SeenSecurityGroup): boolean => rules.some(({ source }) => source === backend?.id);
  return [
    ...(backend ? ['ec2:CreateSecurityGroup'] : []),
    ...([...inventory.nodeGroups.values()].some(admits) ? ['ec2:AuthorizeSecurityGroupIngress'] : []),
    ...([...inventory.balancers.values()].some(({ tags }) => tags[TAG.applied] !== undefined)
      ? ['elasticloadbalancing:DescribeTargetHealth'] // of what is made the targets are looked at until they have been checked
      : []),
  ];
}

/** @param denied actions, by their names in IAM; at least one */
export function sayDenied(denied: readonly string[]): string {
  const what = denied.length === 1 ? 'an action that is needed' : `${denied.length} actions that are needed`;
  return `AWS denies ${what}: ${denied.join(', ')}. ${cures.AwsDenied}`;
}
