import { type SandboxAws, startAws } from '../aws/aws.ts';
import { healthOf } from '../aws/elb/target-health.ts';
import { typicalAccount, typicalInstance } from '../aws/seed.ts';
import type { LoadBalancer } from '../aws/world.ts';
import type { Landing } from '../nodes/backends.ts';
import type { SandboxNode } from '../nodes/member.ts';
import { land } from './ask.ts';
import type { Cloud, DemoCluster } from './cluster.ts';
import { refused } from './outages.ts';

/** A target of a listener, and whether AWS sends to it now. */
export interface PlayedTarget {
  readonly id: string;
  /** NodePort. */
  readonly port: number;
  readonly health: string;
}

/** The in-memory AWS of the demo, with one instance for each node, and the part of an NLB played in it. */
export interface DemoAccount {
  readonly aws: SandboxAws;
  readonly cloud: Cloud;
  /** The NLB with this hostname. */
  balancer(hostname: string): LoadBalancer | undefined;
  /** What is registered behind a listener of the NLB, draining ones left out; empty when there is no such listener. */
  targets(hostname: string, port: number): readonly PlayedTarget[];
  /** Begins to check every registered target at its NodePort, as an NLB does, and to tell AWS what was found. */
  checkTargets(cluster: DemoCluster): void;
  /** One request to the next healthy target, as the NLB would send it on. @throws when there is none, or it does not answer */
  ask(cluster: DemoCluster, hostname: string, port: number): Promise<Landing>;
  stop(): Promise<void>;
}

const INSTANCES = 3;
/** Two pauses at AWS that take minutes there; a target is healthy when a check of ours has found it so. */
const TIMINGS = { activeMs: 600, healthyMs: 1e12, drainingMs: 300, consistencyMs: 100 };
const CHECK_EVERY_MS = 100;

export async function startAccount(): Promise<DemoAccount> {
  const aws = await startAws({ seed: typicalAccount({ instances: INSTANCES }), timings: TIMINGS });
  let turn = 0;
  let checking: NodeJS.Timeout | undefined;
  let stopped = false;
  /** By instance id; one that leaves the cluster serves on until its machine is off. */
  const nodes = new Map<string, SandboxNode>();
  const placeOf = (cluster: DemoCluster, id: string, nodePort: number) => {
    for (const node of cluster.nodes.nodes) nodes.set(instanceOf(node.name), node);
    const node = nodes.get(id);
    return node && { address: node.address, port: node.servedAt(nodePort) };
  };
  const isOpen = async (cluster: DemoCluster, id: string, nodePort: number): Promise<boolean> => {
    const place = placeOf(cluster, id, nodePort);
    return place !== undefined && !(await refused(place.address, place.port));
  };
  const balancer = (hostname: string) => aws.loadBalancers().find(({ dnsName }) => dnsName.toLowerCase() === hostname);
  const targets = (hostname: string, port: number): readonly PlayedTarget[] => {
    const arn = balancer(hostname)?.arn;
    const listener = aws.listeners().find((one) => one.loadBalancerArn === arn && one.port === port);
    const group = aws.targetGroups().find((one) => one.arn === listener?.forward[0]?.arn);
    if (!group) return [];
    return aws.targetsOf(group.arn).map((one) => ({ id: one.id, port: one.port, health: healthOf(aws.world, group, one).State }));
  };
  const checkAll = async (cluster: DemoCluster): Promise<void> => {
    for (const group of aws.targetGroups().filter(({ users }) => users.size > 0)) {
      const found = await Promise.all(
        aws.targetsOf(group.arn).map(async ({ id, port }) => ({ id, port, open: await isOpen(cluster, id, port) })),
      );
      if (aws.targetGroups().includes(group)) {
        for (const { id, port, open } of found) aws.setTargetHealth(group.arn, { id, port }, open ? 'healthy' : 'unhealthy');
      }
    }
  };
  const keepChecking = (cluster: DemoCluster): void => {
    if (stopped) return;
    checking = setTimeout(() => void checkAll(cluster).finally(() => keepChecking(cluster)), CHECK_EVERY_MS);
  };
  return {
    aws,
    cloud: { providerId: providerIdOf, env: environmentOf(aws) },
    balancer,
    targets,
    checkTargets: keepChecking,
    async ask(cluster, hostname, port) {
      const healthy = targets(hostname, port).filter(({ health }) => health === 'healthy');
      const target = healthy[turn++ % healthy.length];
      const place = target && placeOf(cluster, target.id, target.port);
      if (!place) throw new Error(`port ${port} of ${hostname} has no healthy target`);
      return land(place.address, place.port);
    },
    async stop() {
      stopped = true;
      clearTimeout(checking);
      await aws.close();
    },
  };
}

function providerIdOf(number: number): string {
  const { id, subnetId } = typicalInstance(number);
  return `aws:///eu-west-1${subnetId.at(-1)}/${id}`;
}

/** What sends the AWS SDK, or the AWS CLI, to the account. */
function environmentOf({ url, region }: SandboxAws): Readonly<Record<string, string>> {
  return { AWS_ENDPOINT_URL: url, AWS_REGION: region, AWS_ACCESS_KEY_ID: 'demo', AWS_SECRET_ACCESS_KEY: 'demo' };
}

/** The instance that is the machine of `worker-N`. */
export function instanceOf(nodeName: string): string {
  return typicalInstance(Number(nodeName.slice('worker-'.length))).id;
}
