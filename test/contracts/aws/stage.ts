import { setTimeout as pause } from 'node:timers/promises';
import { EC2 } from '@aws-sdk/client-ec2';
import {
  type CreateListenerCommandInput,
  type CreateLoadBalancerCommandInput,
  type CreateTargetGroupCommandInput,
  ElasticLoadBalancingV2,
  type Listener,
  type LoadBalancer,
  type TargetGroup,
  type TargetHealthDescription,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { expect } from '@jest/globals';

/** What the tests stand on; it is there before them. */
export interface Ground {
  readonly vpcId: string;
  /** One a zone, in the order of the zones; three. They have a way to an internet gateway, and IPv6. */
  readonly publicSubnets: readonly string[];
  /** The same without the way. */
  readonly privateSubnets: readonly string[];
  /** A second subnet in the zone of the first public one. */
  readonly secondInZone: string;
  /** Running, one a zone, in the private subnets; three. */
  readonly instances: readonly string[];
  /** One that is stopped. */
  readonly stoppedInstance: string;
  /** The instances' security group. */
  readonly nodeGroup: string;
  /** Two. */
  readonly certificates: readonly string[];
  /** Elastic IPs that are free; three. */
  readonly allocations: readonly string[];
  readonly prefixList: string;
}

export interface AwsUnderTest {
  readonly endpoint: string;
  readonly region: string;
  readonly ground: Ground;
  readonly close: () => Promise<void>;
}

export type Promises = Readonly<Record<string, (stage: Stage) => Promise<void>>>;

const WAIT_MS = 10_000;
const POLL_MS = 10;

/** The clients, and the usual things made in one line. */
export class Stage {
  readonly elb: ElasticLoadBalancingV2;
  readonly ec2: EC2;
  readonly ground: Ground;
  readonly #aws: AwsUnderTest;
  #names = 0;
  /** ARNs of this test. */
  #balancers: string[] = [];

  constructor(aws: AwsUnderTest) {
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    const config = { endpoint: aws.endpoint, region: aws.region, credentials, maxAttempts: 1 };
    this.elb = new ElasticLoadBalancingV2(config);
    this.ec2 = new EC2(config);
    this.ground = aws.ground;
    this.#aws = aws;
  }

  async close(): Promise<void> {
    this.elb.destroy();
    this.ec2.destroy();
    await this.#aws.close();
  }

  /** Deletes the load balancers of a test, for an account has room for 50. */
  async sweep(): Promise<void> {
    const arns = this.#balancers;
    this.#balancers = [];
    await Promise.all(arns.map((LoadBalancerArn) => this.elb.deleteLoadBalancer({ LoadBalancerArn })));
  }

  /** One that nothing else has. */
  name(): string {
    return `t-${++this.#names}`;
  }

  async balancer(
    wanted: Partial<CreateLoadBalancerCommandInput> = {},
  ): Promise<LoadBalancer & { readonly LoadBalancerArn: string }> {
    const subnets = wanted.SubnetMappings ? {} : { Subnets: [this.ground.publicSubnets[0]!] };
    const input = { Name: this.name(), Type: 'network' as const, ...subnets, ...wanted };
    const { LoadBalancers } = await this.elb.createLoadBalancer(input);
    const made = only(LoadBalancers) as LoadBalancer & { readonly LoadBalancerArn: string };
    this.#balancers.push(made.LoadBalancerArn);
    return made;
  }

  async group(wanted: Partial<CreateTargetGroupCommandInput> = {}): Promise<TargetGroup & { readonly TargetGroupArn: string }> {
    const input = { Name: this.name(), Protocol: 'TCP' as const, Port: 30_080, VpcId: this.ground.vpcId, ...wanted };
    const { TargetGroups } = await this.elb.createTargetGroup(input);
    return only(TargetGroups) as TargetGroup & { readonly TargetGroupArn: string };
  }

  async listener(
    balancer: LoadBalancer,
    group: TargetGroup,
    wanted: Partial<CreateListenerCommandInput> = {},
  ): Promise<Listener & { readonly ListenerArn: string }> {
    const input = {
      LoadBalancerArn: balancer.LoadBalancerArn,
      Protocol: 'TCP' as const,
      Port: 80,
      DefaultActions: forwardTo(group),
      ...wanted,
    };
    const { Listeners } = await this.elb.createListener(input);
    return only(Listeners) as Listener & { readonly ListenerArn: string };
  }

  /** A balancer, a group and a listener between them. */
  async served(wanted: Partial<CreateTargetGroupCommandInput> = {}) {
    const balancer = await this.balancer({ Subnets: [...this.ground.publicSubnets] });
    const group = await this.group(wanted);
    const listener = await this.listener(balancer, group, { Protocol: wanted.Protocol ?? 'TCP' });
    return { balancer, group, listener };
  }

  async securityGroup(): Promise<string> {
    const made = await this.ec2.createSecurityGroup({
      GroupName: this.name(),
      Description: 'of a test',
      VpcId: this.ground.vpcId,
    });
    return made.GroupId!;
  }

  /** `id:port` and the state of each target, sorted. */
  async health(group: { readonly TargetGroupArn: string }): Promise<readonly string[]> {
    const told = await this.elb.describeTargetHealth({ TargetGroupArn: group.TargetGroupArn });
    return (told.TargetHealthDescriptions ?? []).map(inShort).sort();
  }

  /** Asks again until it is so. */
  async until<T>(ask: () => Promise<T>, wanted: T): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const got = await ask();
      if (JSON.stringify(got) === JSON.stringify(wanted)) return;
      if (performance.now() > deadline) expect(got).toEqual(wanted);
      await pause(POLL_MS);
    }
  }
}

function inShort({ Target, TargetHealth }: TargetHealthDescription): string {
  return [`${Target?.Id}:${Target?.Port}`, TargetHealth?.State, TargetHealth?.Reason].filter(Boolean).join(' ');
}

export function forwardTo(group: TargetGroup) {
  return [{ Type: 'forward' as const, TargetGroupArn: group.TargetGroupArn! }];
}

/** The one element that there must be. */
export function only<T>(list: readonly T[] | undefined): T {
  expect(list).toHaveLength(1);
  return list![0]!;
}

/** It must be refused, with this name. */
export async function refused(call: Promise<unknown>, name: string): Promise<void> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name });
}
