import { AwsFailure } from '../failure.ts';
import type { World } from '../world.ts';

/** @throws {AwsFailure} InvalidSecurityGroup for one that is not there or of another VPC */
export function checkGroups(world: World, ids: readonly string[], vpcId: string): void {
  for (const id of ids) {
    const group = world.securityGroups.get(id);
    if (!group) throw new AwsFailure('InvalidSecurityGroup', `One or more security groups are invalid: '${id}' does not exist`);
    if (group.vpcId !== vpcId) {
      throw new AwsFailure('InvalidSecurityGroup', `One or more security groups are invalid: '${id}' is not of ${vpcId}`);
    }
  }
  const { securityGroupsPerLoadBalancer: most } = world.limits;
  if (ids.length > most) {
    throw new AwsFailure('InvalidConfigurationRequest', `A load balancer cannot have more than ${most} security groups`);
  }
}
