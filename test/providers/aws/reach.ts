import type { Protocol } from '../../../src/model.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { healthOf } from '../../../src/sandbox/aws/elb/target-health.ts';
import type { Listener, LoadBalancer, SecurityGroup, TargetGroup } from '../../../src/sandbox/aws/world.ts';

/** A port as a client knows it. */
export interface Door {
  readonly port: number;
  readonly protocol: Protocol;
}

/** What a client has looked up: a name or an address. */
export interface Place {
  readonly hostname?: string;
  readonly ip?: string;
}

const CARRIES: Readonly<Record<Protocol, readonly string[]>> = {
  TCP: ['TCP', 'TLS', 'TCP_UDP'],
  UDP: ['UDP', 'TCP_UDP'],
  SCTP: [],
};

/** Watches which zones of the account's NLBs have been up for long enough to serve; one that is being enabled does not. */
export class Zones {
  readonly #upSince = new Map<string, number>();
  readonly #aws: SandboxAws;
  readonly #activeMs: number;

  constructor(aws: SandboxAws, activeMs: number) {
    this.#aws = aws;
    this.#activeMs = activeMs;
  }

  look(): void {
    for (const { zones } of this.#aws.loadBalancers()) {
      for (const { interfaceId } of zones) {
        if (!this.#upSince.has(interfaceId)) this.#upSince.set(interfaceId, this.#aws.world.now());
      }
    }
  }

  serving({ zones }: LoadBalancer): LoadBalancer['zones'] {
    const now = this.#aws.world.now();
    return zones.filter(({ interfaceId }) => now >= (this.#upSince.get(interfaceId) ?? now) + this.#activeMs);
  }
}

/** Pure over the account as it is now. @returns why a client that comes from anywhere gets no answer there, or undefined */
export function whyUnreachable(aws: SandboxAws, zones: Zones, place: Place, { port, protocol }: Door): string | undefined {
  const balancer = aws.loadBalancers().find((one) => isAt(one, place));
  const where = place.hostname ?? place.ip;
  if (!balancer) return `nothing is at ${where}`;
  const open = zones.serving(balancer).filter((zone) => place.ip === undefined || isAtZone(zone, place.ip));
  if (open.length === 0) return `no zone of ${balancer.name} serves`;
  const listener = listenersOf(aws, balancer).find((one) => one.port === port && CARRIES[protocol].includes(one.protocol));
  if (!listener) return `${balancer.name} does not listen on ${port}/${protocol}`;
  if (!admits(aws, balancer, port, protocol)) return `the security groups of ${balancer.name} do not admit ${port}/${protocol}`;
  const shares = listener.forward.filter(({ weight }) => weight !== 0);
  const groups = aws.targetGroups().filter(({ arn }) => shares.some((share) => share.arn === arn));
  if (groups.length < shares.length || groups.length === 0) return `${balancer.name} sends port ${port} to nothing`;
  return groups.map((group) => whyUnserved(aws, balancer, open, group)).find((why) => why !== undefined);
}

/** A client may be sent to any of the groups. */
function whyUnserved(
  aws: SandboxAws,
  balancer: LoadBalancer,
  open: LoadBalancer['zones'],
  group: TargetGroup,
): string | undefined {
  const isCross = balancer.attributes.get('load_balancing.cross_zone.enabled') === 'true';
  const healthy = new Set(healthyZones(aws, group));
  if (healthy.size === 0) return `${group.name} of ${balancer.name} has no healthy target (${statesOf(aws, group)})`;
  if (!isCross && !open.some(({ zone }) => healthy.has(zone))) return `no zone of ${balancer.name} has a healthy target`;
  return undefined;
}

function isAt(balancer: LoadBalancer, { hostname, ip }: Place): boolean {
  if (hostname !== undefined) return balancer.dnsName.toLowerCase() === hostname;
  return balancer.zones.some((zone) => isAtZone(zone, ip));
}

function isAtZone({ publicIp, privateIp, ipv6 }: LoadBalancer['zones'][number], ip: string | undefined): boolean {
  return ip !== undefined && [publicIp ?? privateIp, ipv6].includes(ip);
}

function listenersOf(aws: SandboxAws, { arn }: LoadBalancer): readonly Listener[] {
  return aws.listeners().filter(({ loadBalancerArn }) => loadBalancerArn === arn);
}

function admits(aws: SandboxAws, { securityGroups }: LoadBalancer, port: number, protocol: Protocol): boolean {
  if (securityGroups.length === 0) return true;
  const groups = aws.securityGroups().filter(({ id }) => securityGroups.includes(id));
  const isOwn = groups.some(({ name }) => name === 'nodes'); // whose rules are somebody else's affair
  return isOwn || groups.some((group) => hasRule(group, port, protocol));
}

function hasRule({ rules }: SecurityGroup, port: number, protocol: Protocol): boolean {
  return [...rules.values()].some(
    (rule) => !rule.egress && rule.protocol === protocol.toLowerCase() && rule.fromPort! <= port && port <= rule.toPort!,
  );
}

function healthyZones(aws: SandboxAws, group: TargetGroup): readonly string[] {
  return [...group.targets.values()]
    .filter((target) => healthOf(aws.world, group, target).State === 'healthy')
    .flatMap(({ id }) => aws.world.instances.get(id)?.zone ?? []);
}

function statesOf(aws: SandboxAws, group: TargetGroup): string {
  return [...group.targets.values()]
    .map((target) => `${target.id.slice(-2)}:${target.port} ${healthOf(aws.world, group, target).State}`)
    .join(', ');
}
