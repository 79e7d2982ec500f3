import type { ApiFamily } from '../../config/throttle.ts';

/** Every AWS action that this provider can call, with the bucket that it draws from. The IAM policy is made from this table. */
export const elbActions = {
  DescribeLoadBalancers: 'describe',
  DescribeTargetGroups: 'describe',
  DescribeTags: 'describe',
  DescribeListeners: 'describe',
  DescribeListenerCertificates: 'describe',
  DescribeListenerAttributes: 'describe',
  DescribeLoadBalancerAttributes: 'describe',
  DescribeTargetGroupAttributes: 'describe',
  DescribeTargetHealth: 'describe',
  DescribeCapacityReservation: 'describe',
  DescribeAccountLimits: 'describe',
  CreateLoadBalancer: 'create',
  CreateTargetGroup: 'create',
  CreateListener: 'create',
  AddTags: 'create',
  RemoveTags: 'create',
  ModifyLoadBalancerAttributes: 'modify',
  ModifyTargetGroup: 'modify',
  ModifyTargetGroupAttributes: 'modify',
  ModifyListener: 'modify',
  ModifyListenerAttributes: 'modify',
  ModifyCapacityReservation: 'modify',
  AddListenerCertificates: 'create',
  RemoveListenerCertificates: 'create',
  SetSubnets: 'modify',
  SetSecurityGroups: 'modify',
  SetIpAddressType: 'modify',
  RegisterTargets: 'register',
  DeregisterTargets: 'register',
  DeleteListener: 'create',
  DeleteTargetGroup: 'create',
  DeleteLoadBalancer: 'create',
} as const satisfies Record<string, ApiFamily>;

export const ec2Actions = {
  DescribeInstances: 'readEc2',
  DescribeSubnets: 'readEc2',
  DescribeRouteTables: 'readEc2',
  DescribeSecurityGroups: 'readEc2',
  DescribeAddresses: 'readEc2',
  DescribeNetworkInterfaces: 'readEc2',
  CreateSecurityGroup: 'writeEc2',
  CreateTags: 'writeEc2',
  DeleteTags: 'writeEc2',
  AuthorizeSecurityGroupIngress: 'writeEc2',
  RevokeSecurityGroupIngress: 'writeEc2',
  DeleteSecurityGroup: 'writeEc2',
} as const satisfies Record<string, ApiFamily>;

export type ElbAction = keyof typeof elbActions;
export type Ec2Action = keyof typeof ec2Actions;
