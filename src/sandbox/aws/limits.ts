/** How long things take, in ms. All default to 0: the next read sees the end of it. */
export interface Timings {
  /** From the creation of a load balancer, or a change of its zones, until it is active. */
  readonly activeMs: number;
  /** From registration on a group that is in use until a target is healthy. */
  readonly healthyMs: number;
  /** How long a deregistered target drains; undefined: as long as the group's own attribute says. */
  readonly drainingMs: number | undefined;
  /** How far reads lag behind writes, and how long a deleted thing still counts as a user of what it used. */
  readonly consistencyMs: number;
}

export const noTime: Timings = { activeMs: 0, healthyMs: 0, drainingMs: 0, consistencyMs: 0 };

/** The account's quotas, as AWS gives them at first.
 *  @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
 *  @see https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html */
export interface Limits {
  readonly loadBalancers: number;
  readonly targetGroups: number;
  readonly listenersPerLoadBalancer: number;
  readonly targetsPerLoadBalancer: number;
  /** Without cross-zone balancing; with it, this is the limit of the whole load balancer. */
  readonly targetsPerZone: number;
  readonly targetsPerTargetGroup: number;
  /** One call of RegisterTargets or DeregisterTargets; bigger batches have been seen to fail. */
  readonly targetsPerCall: number;
  readonly certificatesPerLoadBalancer: number;
  readonly interfacesPerVpc: number;
  readonly securityGroupsPerLoadBalancer: number;
  readonly securityGroups: number;
  readonly rulesPerSecurityGroup: number;
  readonly tagsPerResource: number;
}

export const usualLimits: Limits = {
  loadBalancers: 50,
  targetGroups: 3000,
  listenersPerLoadBalancer: 50,
  targetsPerLoadBalancer: 3000,
  targetsPerZone: 500,
  targetsPerTargetGroup: 1000,
  targetsPerCall: 200,
  certificatesPerLoadBalancer: 25,
  interfacesPerVpc: 1200,
  securityGroupsPerLoadBalancer: 5,
  securityGroups: 2500,
  rulesPerSecurityGroup: 60,
  tagsPerResource: 50,
};
