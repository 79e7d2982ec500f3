import ipaddr from 'ipaddr.js';
import type { Seed, SeedInstance, SeedSubnet, Tags } from './seed.ts';
import { Sessions } from './sessions.ts';
import { Shelf } from './shelf.ts';
import type { Instance, Rule, World } from './world.ts';

const RESERVED_ADDRESSES = 5; // of each subnet: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
const STEP = 0x9e3779b97f4a7n; // odd, so that ids look apart and still never meet

/** How the account behaves. */
export type Ways = Pick<World, 'now' | 'timings' | 'limits' | 'tagsAreSettings' | 'sessionMs'>;

/** Builds the account out of its seed. */
export function openWorld(seed: Seed, ways: Ways): World {
  const { now, timings } = ways;
  const lag = { now, lagMs: timings.consistencyMs };
  let ids = 0n;
  const world: World = {
    region: seed.region,
    accountId: seed.accountId ?? '123456789012',
    ...ways,
    sessions: new Sessions(),
    newId: (digits) => {
      const modulus = 1n << BigInt(4 * digits);
      ids += 1n;
      return ((ids * STEP) % modulus).toString(16).padStart(digits, '0');
    },
    vpcs: byId(seed.vpcs),
    subnets: byId(seed.subnets.map((one) => ({ ...one, free: sizeOf(one), held: new Set<string>() }))),
    gateways: byId(seed.internetGateways ?? []),
    routeTables: byId(seed.routeTables ?? []),
    prefixLists: byId(seed.prefixLists ?? []),
    certificates: new Set(seed.certificates),
    logBuckets: new Set(seed.logBuckets),
    instances: new Map(),
    addresses: new Map(),
    securityGroups: new Shelf(lag),
    loadBalancers: new Shelf(lag),
    targetGroups: new Shelf(lag),
    listeners: new Shelf(lag),
    interfaces: new Shelf(lag),
    tags: new Map(),
  };
  fill(world, seed);
  return world;
}

/** Adds an instance to a running account.
 *  @throws {Error} for a subnet that is not there */
export function placeInstance(world: World, seed: SeedInstance): Instance {
  const subnet = world.subnets.get(seed.subnetId);
  if (!subnet)
    throw new Error(`instance ${seed.id}: there is no subnet ${seed.subnetId}; there are ${[...world.subnets.keys()]}`);
  const instance: Instance = {
    id: seed.id,
    vpcId: subnet.vpcId,
    subnetId: subnet.id,
    zone: subnet.zone,
    state: seed.state ?? 'running',
    privateIp: seed.privateIp,
    publicIp: seed.publicIp,
    ipv6: seed.ipv6,
    securityGroups: seed.securityGroups,
    launchedAt: world.now(),
  };
  world.instances.set(instance.id, instance);
  keepTags(world, instance.id, seed.tags);
  subnet.held.add(seed.privateIp);
  subnet.free--;
  return instance;
}

function fill(world: World, seed: Seed): void {
  for (const group of seed.securityGroups ?? []) {
    const all: Rule = {
      id: `sgr-${world.newId(17)}`,
      egress: true,
      protocol: '-1',
      fromPort: undefined,
      toPort: undefined,
      peer: { kind: 'ipv4', value: '0.0.0.0/0' },
      description: undefined,
    };
    const made = { ...group, description: group.description ?? group.name, rules: new Map([[all.id, all]]) };
    world.securityGroups.put(group.id, made, Number.NEGATIVE_INFINITY);
  }
  for (const { allocationId, publicIp, inUse } of seed.addresses ?? []) {
    const holder = inUse
      ? { interfaceId: 'eni-foreign', associationId: `eipassoc-${world.newId(17)}`, privateIp: '10.0.0.9' }
      : undefined;
    world.addresses.set(allocationId, { allocationId, publicIp, holder });
  }
  for (const instance of seed.instances ?? []) placeInstance(world, instance);
  for (const { id, freeAddresses } of seed.subnets) {
    const subnet = world.subnets.get(id);
    if (subnet && freeAddresses !== undefined) subnet.free = freeAddresses; // what is left beside the seed's own instances
  }
  for (const one of [...seed.vpcs, ...seed.subnets, ...(seed.securityGroups ?? []), ...(seed.routeTables ?? [])]) {
    keepTags(world, one.id, one.tags);
  }
  for (const one of seed.addresses ?? []) keepTags(world, one.allocationId, one.tags);
}

function keepTags(world: World, id: string, tags: Tags | undefined): void {
  if (tags) world.tags.set(id, new Map(Object.entries(tags)));
}

function sizeOf(subnet: SeedSubnet): number {
  const [, bits] = ipaddr.parseCIDR(subnet.cidr);
  return 2 ** (32 - bits) - RESERVED_ADDRESSES;
}

function byId<T extends { readonly id: string }>(things: readonly T[]): Map<string, T> {
  return new Map(things.map((thing) => [thing.id, thing]));
}
