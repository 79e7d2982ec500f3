import {
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeRouteTablesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type Filter,
  type RouteTable,
} from '@aws-sdk/client-ec2';
import {
  DescribeAccountLimitsCommand,
  DescribeCapacityReservationCommand,
  DescribeListenerAttributesCommand,
  DescribeListenerCertificatesCommand,
  DescribeListenersCommand,
  DescribeLoadBalancerAttributesCommand,
  DescribeLoadBalancersCommand,
  type DescribeLoadBalancersCommandInput,
  DescribeTagsCommand,
  DescribeTargetGroupAttributesCommand,
  DescribeTargetGroupsCommand,
  type DescribeTargetGroupsCommandInput,
  DescribeTargetHealthCommand,
  type Listener,
  type LoadBalancer,
  type TargetGroup,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { readInstance, readListener, readSecurityGroup, readSubnet, readTags, readTargets } from './answers.ts';
import type { AwsCalls } from './calls.ts';
import { isCalled } from './failures.ts';
import type { SeenInstance, SeenIp, SeenListener, SeenSecurityGroup, SeenSubnet, SeenTarget, Tags } from './picture.ts';

/** As many as AWS gives and takes at once. */
const PAGE = 400;
const ARNS_PER_TAGS_CALL = 20;
const VALUES_PER_FILTER = 200;
const EC2_PAGE = 1_000;
const ROUTE_TABLES_PAGE = 100;
/** No account has more than this; a marker that never ends must not be followed for ever. */
const PAGES_MAX = 1_000;

type Page<T> = { readonly items: readonly T[]; readonly next: string | undefined };

/** Every read that we do, each as few calls as AWS allows. Nothing is kept here. */
export class Reader {
  readonly #calls: AwsCalls;

  constructor(calls: AwsCalls) {
    this.#calls = calls;
  }

  /** @param which undefined: all of the region */
  balancers(which: Pick<DescribeLoadBalancersCommandInput, 'LoadBalancerArns' | 'Names'> = {}): Promise<readonly LoadBalancer[]> {
    const size = which.LoadBalancerArns || which.Names ? {} : { PageSize: PAGE };
    return everyPage(async (Marker) => {
      const input = { ...which, ...size, ...(Marker ? { Marker } : {}) };
      const answer = await this.#calls.elb('DescribeLoadBalancers', (elb) => elb.send(new DescribeLoadBalancersCommand(input)));
      return { items: answer.LoadBalancers ?? [], next: answer.NextMarker };
    });
  }

  groups(which: Pick<DescribeTargetGroupsCommandInput, 'Names' | 'TargetGroupArns'> = {}): Promise<readonly TargetGroup[]> {
    const size = which.Names || which.TargetGroupArns ? {} : { PageSize: PAGE };
    return everyPage(async (Marker) => {
      const input = { ...which, ...size, ...(Marker ? { Marker } : {}) };
      const answer = await this.#calls.elb('DescribeTargetGroups', (elb) => elb.send(new DescribeTargetGroupsCommand(input)));
      return { items: answer.TargetGroups ?? [], next: answer.NextMarker };
    });
  }

  /** Tags by ARN; what has vanished meanwhile is left out. */
  async tags(arns: readonly string[]): Promise<ReadonlyMap<string, Tags>> {
    const found = await Promise.all(batches(arns, ARNS_PER_TAGS_CALL).map((batch) => this.#tagsOf(batch)));
    return new Map(found.flat());
  }

  async #tagsOf(arns: readonly string[]): Promise<readonly (readonly [string, Tags])[]> {
    try {
      const answer = await this.#calls.elb('DescribeTags', (elb) =>
        elb.send(new DescribeTagsCommand({ ResourceArns: [...arns] })),
      );
      return (answer.TagDescriptions ?? []).map((one) => [one.ResourceArn ?? '', readTags(one.Tags)] as const);
    } catch (thrown) {
      if (!isCalled(thrown, 'LoadBalancerNotFoundException', 'TargetGroupNotFoundException')) throw thrown;
      if (arns.length === 1) return [];
      const half = Math.ceil(arns.length / 2); // one of them has vanished
      return [...(await this.#tagsOf(arns.slice(0, half))), ...(await this.#tagsOf(arns.slice(half)))];
    }
  }

  async listeners(balancerArn: string): Promise<readonly SeenListener[]> {
    const found = await everyPage<Listener>(async (Marker) => {
      const input = { LoadBalancerArn: balancerArn, PageSize: PAGE, ...(Marker ? { Marker } : {}) };
      const answer = await this.#calls.elb('DescribeListeners', (elb) => elb.send(new DescribeListenersCommand(input)));
      return { items: answer.Listeners ?? [], next: answer.NextMarker };
    });
    return Promise.all(found.map(async (one) => readListener(one, one.Protocol === 'TLS' ? await this.#certificates(one) : [])));
  }

  /** The default certificate first. */
  async #certificates({ ListenerArn, Certificates }: Listener): Promise<readonly string[]> {
    const all = await everyPage(async (Marker) => {
      const input = { ListenerArn, ...(Marker ? { Marker } : {}) };
      const answer = await this.#calls.elb('DescribeListenerCertificates', (elb) =>
        elb.send(new DescribeListenerCertificatesCommand(input)),
      );
      return { items: answer.Certificates ?? [], next: answer.NextMarker };
    });
    const first = Certificates?.[0]?.CertificateArn;
    const more = all.filter(({ IsDefault }) => !IsDefault).flatMap(({ CertificateArn }) => CertificateArn ?? []);
    return [...(first === undefined ? [] : [first]), ...more];
  }

  async listenerAttributes(ListenerArn: string): Promise<Tags> {
    const answer = await this.#calls.elb('DescribeListenerAttributes', (elb) =>
      elb.send(new DescribeListenerAttributesCommand({ ListenerArn })),
    );
    return readTags(answer.Attributes);
  }

  async balancerAttributes(LoadBalancerArn: string): Promise<Tags> {
    const answer = await this.#calls.elb('DescribeLoadBalancerAttributes', (elb) =>
      elb.send(new DescribeLoadBalancerAttributesCommand({ LoadBalancerArn })),
    );
    return readTags(answer.Attributes);
  }

  async groupAttributes(TargetGroupArn: string): Promise<Tags> {
    const answer = await this.#calls.elb('DescribeTargetGroupAttributes', (elb) =>
      elb.send(new DescribeTargetGroupAttributesCommand({ TargetGroupArn })),
    );
    return readTags(answer.Attributes);
  }

  /** The quotas of the account in this region, by the names that AWS gives them. */
  async limits(): Promise<ReadonlyMap<string, number>> {
    const found = await everyPage(async (Marker) => {
      const input = { PageSize: PAGE, ...(Marker ? { Marker } : {}) };
      const answer = await this.#calls.elb('DescribeAccountLimits', (elb) => elb.send(new DescribeAccountLimitsCommand(input)));
      return { items: answer.Limits ?? [], next: answer.NextMarker };
    });
    const known = found.flatMap(({ Name = '', Max }) => (/^\d+$/.test(Max ?? '') ? [[Name, Number(Max)] as const] : []));
    return new Map(known);
  }

  async capacity(LoadBalancerArn: string): Promise<number> {
    const answer = await this.#calls.elb('DescribeCapacityReservation', (elb) =>
      elb.send(new DescribeCapacityReservationCommand({ LoadBalancerArn })),
    );
    return answer.MinimumLoadBalancerCapacity?.CapacityUnits ?? 0;
  }

  async targets(TargetGroupArn: string): Promise<readonly SeenTarget[]> {
    const answer = await this.#calls.elb('DescribeTargetHealth', (elb) =>
      elb.send(new DescribeTargetHealthCommand({ TargetGroupArn })),
    );
    return readTargets(answer.TargetHealthDescriptions);
  }

  securityGroups(filters: Readonly<Record<string, readonly string[]>>): Promise<readonly SeenSecurityGroup[]> {
    return everyPage(async (NextToken) => {
      const input = { Filters: writeFilters(filters), MaxResults: EC2_PAGE, ...(NextToken ? { NextToken } : {}) };
      const answer = await this.#calls.ec2('DescribeSecurityGroups', (ec2) => ec2.send(new DescribeSecurityGroupsCommand(input)));
      return { items: (answer.SecurityGroups ?? []).map(readSecurityGroup), next: answer.NextToken };
    });
  }

  /** Those of these Elastic IPs that are there. */
  async allocations(ids: readonly string[]): Promise<readonly string[]> {
    const input = { Filters: writeFilters({ 'allocation-id': ids.slice(0, VALUES_PER_FILTER) }) };
    const answer = await this.#calls.ec2('DescribeAddresses', (ec2) => ec2.send(new DescribeAddressesCommand(input)));
    return (answer.Addresses ?? []).flatMap(({ AllocationId }) => AllocationId ?? []);
  }

  /** Addresses of an NLB's network interfaces, by zone, IPv4 first: public ones where there are any. */
  async interfaceIps(balancerArn: string): Promise<readonly SeenIp[]> {
    const description = `ELB ${balancerArn.slice(balancerArn.indexOf('loadbalancer/') + 'loadbalancer/'.length)}`;
    const input = { Filters: writeFilters({ description: [description] }) };
    const answer = await this.#calls.ec2('DescribeNetworkInterfaces', (ec2) =>
      ec2.send(new DescribeNetworkInterfacesCommand(input)),
    );
    const byZone = [...(answer.NetworkInterfaces ?? [])].sort((a, b) =>
      (a.AvailabilityZone ?? '') < (b.AvailabilityZone ?? '') ? -1 : 1,
    );
    const seen = (zone: string | undefined, ip: string | undefined): readonly SeenIp[] =>
      ip === undefined ? [] : [{ ip, zone: zone ?? '' }];
    return [
      ...byZone.flatMap((one) => seen(one.AvailabilityZone, one.Association?.PublicIp ?? one.PrivateIpAddress)),
      ...byZone.flatMap((one) => seen(one.AvailabilityZone, one.Ipv6Addresses?.[0]?.Ipv6Address)),
    ];
  }

  /** Instances that are there; ids that EC2 does not know are left out. */
  async instances(ids: readonly string[]): Promise<readonly SeenInstance[]> {
    const found = await Promise.all(
      batches(ids, VALUES_PER_FILTER).map((batch) =>
        everyPage(async (NextToken) => {
          const input = {
            Filters: writeFilters({ 'instance-id': batch }),
            MaxResults: EC2_PAGE,
            ...(NextToken ? { NextToken } : {}),
          };
          const answer = await this.#calls.ec2('DescribeInstances', (ec2) => ec2.send(new DescribeInstancesCommand(input)));
          return {
            items: (answer.Reservations ?? []).flatMap(({ Instances = [], OwnerId }) =>
              Instances.map((one) => readInstance(one, OwnerId)),
            ),
            next: answer.NextToken,
          };
        }),
      ),
    );
    return found.flat();
  }

  /** @param needsRoutes whether it must be known which of these are public */
  async subnets(vpcId: string, needsRoutes: (seen: readonly SeenSubnet[]) => boolean): Promise<readonly SeenSubnet[]> {
    const Filters = writeFilters({ 'vpc-id': [vpcId] });
    const subnets = await everyPage(async (NextToken) => {
      const input = { Filters, MaxResults: EC2_PAGE, ...(NextToken ? { NextToken } : {}) };
      const answer = await this.#calls.ec2('DescribeSubnets', (ec2) => ec2.send(new DescribeSubnetsCommand(input)));
      return { items: answer.Subnets ?? [], next: answer.NextToken };
    });
    const seen = subnets.map((one) => readSubnet(one, []));
    if (!needsRoutes(seen)) return seen;
    const tables = await this.#routeTables(vpcId);
    return subnets.map((one) => readSubnet(one, tables));
  }

  #routeTables(vpcId: string): Promise<readonly RouteTable[]> {
    const Filters = writeFilters({ 'vpc-id': [vpcId] });
    return everyPage(async (NextToken) => {
      const input = { Filters, MaxResults: ROUTE_TABLES_PAGE, ...(NextToken ? { NextToken } : {}) };
      const answer = await this.#calls.ec2('DescribeRouteTables', (ec2) => ec2.send(new DescribeRouteTablesCommand(input)));
      return { items: answer.RouteTables ?? [], next: answer.NextToken };
    });
  }
}

async function everyPage<T>(read: (marker: string | undefined) => Promise<Page<T>>): Promise<readonly T[]> {
  const items: T[] = [];
  let marker: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const page = await read(marker);
    items.push(...page.items);
    marker = page.next;
    if (marker === undefined || marker === '') break;
  }
  return items;
}

function writeFilters(filters: Readonly<Record<string, readonly string[]>>): Filter[] {
  return Object.entries(filters).map(([Name, Values]) => ({ Name, Values: [...Values] }));
}

export function batches<T>(list: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, at) => list.slice(at * size, (at + 1) * size));
}
