import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  CreateTagsCommand,
  DeleteSecurityGroupCommand,
  DeleteTagsCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeRouteTablesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  RevokeSecurityGroupIngressCommand,
} from '@aws-sdk/client-ec2';
import {
  DescribeAccountLimitsCommand,
  DescribeCapacityReservationCommand,
  DescribeListenerAttributesCommand,
  DescribeListenerCertificatesCommand,
  DescribeListenersCommand,
  DescribeLoadBalancerAttributesCommand,
  DescribeLoadBalancersCommand,
  DescribeTagsCommand,
  DescribeTargetGroupAttributesCommand,
  DescribeTargetGroupsCommand,
  DescribeTargetHealthCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { Refusal } from '../../errors.ts';
import { writeTags } from './answers.ts';
import type { AwsCalls } from './calls.ts';
import { ownershipTags, SHARED, TAG } from './names.ts';

/** What is known of the account when the permissions are tried. */
export interface Ground {
  readonly region: string;
  readonly clusterName: string;
  /** Whose instances the nodes are; undefined: not known yet. */
  readonly accountId: string | undefined;
  readonly vpcId: string | undefined;
  /** A security group that nodes have. */
  readonly nodeGroupId: string | undefined;
  /** The shared group, which carries our tags. */
  readonly ownGroupId: string | undefined;
  /** Actions that need not be tried, by their names in IAM. */
  readonly proven: readonly string[];
}

interface Trial {
  /** As IAM names it. */
  readonly action: string;
  run(): Promise<unknown>;
}

/** In the names of what does not exist, so that these calls can be told from others. */
const NAME = 'nodeport-lb-preflight';
const NOTHING = '0000000000000000';

/**
 * Tries what the program has not done yet, what exists does not prove, and what it will want to do: EC2 answers with DryRun whether it would, and reads of Elastic Load
 * Balancing are made about things that do not exist. Its writes cannot be tried; they are named when they are denied.
 * One call after the other, at most 24 in all. Whatever is answered but a denial says nothing.
 * @returns the actions that are denied, sorted; empty too when the credentials are not valid, which every call says
 */
export async function findDenied(calls: AwsCalls, ground: Ground): Promise<readonly string[]> {
  const denied: string[] = [];
  for (const { action, run } of [
    ...ec2Reads(calls),
    ...ec2Writes(calls, ground),
    ...elbLists(calls),
    ...(await elbReads(calls, ground)),
  ]) {
    if (calls.wasAllowed(action) || ground.proven.includes(action)) continue;
    try {
      await run();
    } catch (thrown) {
      const code = thrown instanceof Refusal ? thrown.code : undefined;
      if (code === 'AwsCredentials') return [];
      if (code === 'AwsDenied') denied.push(action);
    }
  }
  return denied.sort();
}

function ec2Reads(calls: AwsCalls): readonly Trial[] {
  const dry = { DryRun: true };
  return [
    {
      action: 'ec2:DescribeInstances',
      run: () => calls.ec2('DescribeInstances', (ec2) => ec2.send(new DescribeInstancesCommand(dry))),
    },
    {
      action: 'ec2:DescribeSubnets',
      run: () => calls.ec2('DescribeSubnets', (ec2) => ec2.send(new DescribeSubnetsCommand(dry))),
    },
    {
      action: 'ec2:DescribeRouteTables',
      run: () => calls.ec2('DescribeRouteTables', (ec2) => ec2.send(new DescribeRouteTablesCommand(dry))),
    },
    {
      action: 'ec2:DescribeSecurityGroups',
      run: () => calls.ec2('DescribeSecurityGroups', (ec2) => ec2.send(new DescribeSecurityGroupsCommand(dry))),
    },
    {
      action: 'ec2:DescribeAddresses',
      run: () => calls.ec2('DescribeAddresses', (ec2) => ec2.send(new DescribeAddressesCommand(dry))),
    },
    {
      action: 'ec2:DescribeNetworkInterfaces',
      run: () => calls.ec2('DescribeNetworkInterfaces', (ec2) => ec2.send(new DescribeNetworkInterfacesCommand(dry))),
    },
  ];
}

/** Each as the policy allows it: what is made carries our tags, and what is changed or deleted has them. */
function ec2Writes(calls: AwsCalls, { clusterName, vpcId, nodeGroupId, ownGroupId }: Ground): readonly Trial[] {
  const dry = { DryRun: true };
  const create = {
    ...dry,
    GroupName: NAME,
    Description: NAME,
    ...(vpcId === undefined ? {} : { VpcId: vpcId }),
    TagSpecifications: [{ ResourceType: 'security-group' as const, Tags: writeTags(ownershipTags(clusterName, SHARED, [])) }],
  };
  const IpPermissions = [{ IpProtocol: 'tcp', FromPort: 30_000, ToPort: 30_000, IpRanges: [{ CidrIp: '127.0.0.1/32' }] }];
  const rules = { ...dry, GroupId: nodeGroupId, IpPermissions };
  const own = { ...dry, Resources: [ownGroupId ?? ''] };
  return [
    {
      action: 'ec2:CreateSecurityGroup',
      run: () => calls.ec2('CreateSecurityGroup', (ec2) => ec2.send(new CreateSecurityGroupCommand(create))),
    },
    ...(nodeGroupId === undefined
      ? []
      : [
          {
            action: 'ec2:AuthorizeSecurityGroupIngress',
            run: () =>
              calls.ec2('AuthorizeSecurityGroupIngress', (ec2) => ec2.send(new AuthorizeSecurityGroupIngressCommand(rules))),
          },
          {
            action: 'ec2:RevokeSecurityGroupIngress',
            run: () => calls.ec2('RevokeSecurityGroupIngress', (ec2) => ec2.send(new RevokeSecurityGroupIngressCommand(rules))),
          },
        ]),
    ...(ownGroupId === undefined
      ? []
      : [
          {
            action: 'ec2:CreateTags',
            run: () =>
              calls.ec2('CreateTags', (ec2) =>
                ec2.send(new CreateTagsCommand({ ...own, Tags: [{ Key: TAG.retain, Value: 'true' }] })),
              ),
          },
          {
            action: 'ec2:DeleteTags',
            run: () => calls.ec2('DeleteTags', (ec2) => ec2.send(new DeleteTagsCommand({ ...own, Tags: [{ Key: TAG.retain }] }))),
          },
          {
            action: 'ec2:DeleteSecurityGroup',
            run: () =>
              calls.ec2('DeleteSecurityGroup', (ec2) =>
                ec2.send(new DeleteSecurityGroupCommand({ ...dry, GroupId: ownGroupId })),
              ),
          },
        ]),
  ];
}

function elbLists(calls: AwsCalls): readonly Trial[] {
  const one = { PageSize: 1 };
  return [
    {
      action: 'elasticloadbalancing:DescribeLoadBalancers',
      run: () => calls.elb('DescribeLoadBalancers', (elb) => elb.send(new DescribeLoadBalancersCommand(one))),
    },
    {
      action: 'elasticloadbalancing:DescribeTargetGroups',
      run: () => calls.elb('DescribeTargetGroups', (elb) => elb.send(new DescribeTargetGroupsCommand(one))),
    },
    {
      action: 'elasticloadbalancing:DescribeAccountLimits',
      run: () => calls.elb('DescribeAccountLimits', (elb) => elb.send(new DescribeAccountLimitsCommand(one))),
    },
  ];
}

async function elbReads(calls: AwsCalls, { region, accountId }: Ground): Promise<readonly Trial[]> {
  const account = accountId ?? (await findAccount(calls));
  if (account === undefined) return []; // an ARN of somebody else's account would be denied to anybody
  const arn = (rest: string): string => `arn:${partitionOf(region)}:elasticloadbalancing:${region}:${account}:${rest}`;
  const LoadBalancerArn = arn(`loadbalancer/net/${NAME}/${NOTHING}`);
  const TargetGroupArn = arn(`targetgroup/${NAME}/${NOTHING}`);
  const ListenerArn = arn(`listener/net/${NAME}/${NOTHING}/${NOTHING}`);
  return [
    {
      action: 'elasticloadbalancing:DescribeTags',
      run: () => calls.elb('DescribeTags', (elb) => elb.send(new DescribeTagsCommand({ ResourceArns: [LoadBalancerArn] }))),
    },
    {
      action: 'elasticloadbalancing:DescribeListeners',
      run: () => calls.elb('DescribeListeners', (elb) => elb.send(new DescribeListenersCommand({ LoadBalancerArn }))),
    },
    {
      action: 'elasticloadbalancing:DescribeListenerCertificates',
      run: () =>
        calls.elb('DescribeListenerCertificates', (elb) => elb.send(new DescribeListenerCertificatesCommand({ ListenerArn }))),
    },
    {
      action: 'elasticloadbalancing:DescribeListenerAttributes',
      run: () =>
        calls.elb('DescribeListenerAttributes', (elb) => elb.send(new DescribeListenerAttributesCommand({ ListenerArn }))),
    },
    {
      action: 'elasticloadbalancing:DescribeLoadBalancerAttributes',
      run: () =>
        calls.elb('DescribeLoadBalancerAttributes', (elb) =>
          elb.send(new DescribeLoadBalancerAttributesCommand({ LoadBalancerArn })),
        ),
    },
    {
      action: 'elasticloadbalancing:DescribeTargetGroupAttributes',
      run: () =>
        calls.elb('DescribeTargetGroupAttributes', (elb) =>
          elb.send(new DescribeTargetGroupAttributesCommand({ TargetGroupArn })),
        ),
    },
    {
      action: 'elasticloadbalancing:DescribeTargetHealth',
      run: () => calls.elb('DescribeTargetHealth', (elb) => elb.send(new DescribeTargetHealthCommand({ TargetGroupArn }))),
    },
    {
      action: 'elasticloadbalancing:DescribeCapacityReservation',
      run: () =>
        calls.elb('DescribeCapacityReservation', (elb) => elb.send(new DescribeCapacityReservationCommand({ LoadBalancerArn }))),
    },
  ];
}

/** Of an instance, because others may share their VPC with the account. */
async function findAccount(calls: AwsCalls): Promise<string | undefined> {
  try {
    const answer = await calls.ec2('DescribeInstances', (ec2) => ec2.send(new DescribeInstancesCommand({ MaxResults: 5 })));
    return answer.Reservations?.[0]?.OwnerId;
  } catch {
    return undefined; // tried above, and named there
  }
}

/** @see https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html */
function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
