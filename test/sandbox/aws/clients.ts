import { EC2 } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2 } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach } from '@jest/globals';
import { type AwsOptions, type SandboxAws, startAws } from '../../../src/sandbox/aws/aws.ts';

/** A sandbox of its own with clients that do not retry. It ends with the test. */
export interface Scene {
  readonly aws: SandboxAws;
  readonly elb: ElasticLoadBalancingV2;
  readonly ec2: EC2;
}

const open: Scene[] = [];

export async function openScene(options: AwsOptions = {}, region?: string): Promise<Scene> {
  const aws = await startAws(options);
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const config = { endpoint: aws.url, region: region ?? aws.region, credentials, maxAttempts: 1 };
  const scene = { aws, elb: new ElasticLoadBalancingV2(config), ec2: new EC2(config) };
  open.push(scene);
  return scene;
}

afterEach(async () => {
  for (const { aws, elb, ec2 } of open.splice(0)) {
    elb.destroy();
    ec2.destroy();
    await aws.close();
  }
});

export const INSTANCES = [1, 2, 3].map((number) => `i-0000000000000000${number}`);

export async function balancer({ elb }: Scene, Name = 'web', more: object = {}): Promise<string> {
  const Subnets = ['subnet-public-a', 'subnet-public-b', 'subnet-public-c'];
  const { LoadBalancers } = await elb.createLoadBalancer({ Name, Type: 'network', Subnets, ...more });
  return LoadBalancers![0]!.LoadBalancerArn!;
}

export async function group({ elb }: Scene, Name = 'web', more: object = {}): Promise<string> {
  const { TargetGroups } = await elb.createTargetGroup({ Name, Protocol: 'TCP', Port: 30_080, VpcId: 'vpc-1', ...more });
  return TargetGroups![0]!.TargetGroupArn!;
}

export async function listener({ elb }: Scene, LoadBalancerArn: string, TargetGroupArn: string, Port = 80): Promise<string> {
  const DefaultActions = [{ Type: 'forward' as const, TargetGroupArn }];
  const { Listeners } = await elb.createListener({ LoadBalancerArn, Protocol: 'TCP', Port, DefaultActions });
  return Listeners![0]!.ListenerArn!;
}

/** `id state` of each target. */
export async function states({ elb }: Scene, TargetGroupArn: string): Promise<readonly string[]> {
  const { TargetHealthDescriptions } = await elb.describeTargetHealth({ TargetGroupArn });
  return (TargetHealthDescriptions ?? []).map(({ Target, TargetHealth }) =>
    [Target?.Id, TargetHealth?.State, TargetHealth?.Reason].filter(Boolean).join(' '),
  );
}
