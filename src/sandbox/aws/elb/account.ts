import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { flag, list, oneOf, record, text, whole } from '../shapes.ts';
import type { LoadBalancer, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { loadBalancer } from './found.ts';
import { sslPolicies } from './listener-rules.ts';
import { pageFields, pageOf } from './paging.ts';

const page = record(pageFields);
const policies = record({ Names: list(text), LoadBalancerType: oneOf('application', 'network', 'gateway'), ...pageFields });
const look = record({ LoadBalancerArn: text }, ['LoadBalancerArn']);
const reserve = record(
  {
    LoadBalancerArn: text,
    MinimumLoadBalancerCapacity: record({ CapacityUnits: whole(1, 1_000_000) }),
    ResetCapacityReservation: flag,
  },
  ['LoadBalancerArn'],
);

const DECREASES_PER_DAY = 2;
/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/capacity-unit-reservation.html */
const MIN_UNITS_PER_ZONE = 2750;
const DAY_MS = 24 * 3600 * 1000;

export const accountActions: Actions = {
  DescribeAccountLimits: action(page, (world, input) => {
    const { page: limits, next } = pageOf(limitsOf(world), ([name]) => name, input);
    return { Limits: limits.map(([Name, Max]) => ({ Name, Max: String(Max) })), NextMarker: next };
  }),
  DescribeSSLPolicies: action(policies, (_world, input) => {
    const missing = input.Names?.find((name) => !sslPolicies.includes(name));
    if (missing !== undefined) throw new AwsFailure('SSLPolicyNotFound', `SSL policy '${missing}' not found`);
    const { page: names, next } = pageOf(input.Names?.length ? input.Names : sslPolicies, (name) => name, input);
    return {
      SslPolicies: names.map((Name) => ({ Name, SslProtocols: ['TLSv1.2'], SupportedLoadBalancerTypes: ['network'] })),
      NextMarker: next,
    };
  }),
  DescribeCapacityReservation: action(look, (world, input) => capacityXml(world, loadBalancer(world, input.LoadBalancerArn))),
  ModifyCapacityReservation: action(reserve, reserveCapacity),
};

function limitsOf({ limits }: World): readonly (readonly [string, number])[] {
  return [
    ['network-load-balancers', limits.loadBalancers],
    ['target-groups', limits.targetGroups],
    ['listeners-per-network-load-balancer', limits.listenersPerLoadBalancer],
    ['targets-per-network-load-balancer', limits.targetsPerLoadBalancer],
    ['targets-per-availability-zone-per-network-load-balancer', limits.targetsPerZone],
    ['certificates-per-network-load-balancer', limits.certificatesPerLoadBalancer],
    ['targets-per-target-group', limits.targetsPerTargetGroup],
    ['network-load-balancer-enis-per-vpc', limits.interfacesPerVpc],
  ];
}

function reserveCapacity(world: World, input: ReturnType<typeof reserve>): XmlObject {
  const balancer = loadBalancer(world, input.LoadBalancerArn);
  const units = input.MinimumLoadBalancerCapacity?.CapacityUnits;
  if ((units === undefined) === !input.ResetCapacityReservation) {
    const message = 'Either MinimumLoadBalancerCapacity or ResetCapacityReservation must be specified';
    throw new AwsFailure('ValidationError', message);
  }
  const before = balancer.capacity;
  if (before && world.now() < before.changedAt + world.timings.activeMs) {
    throw new AwsFailure('CapacityReservationPending', 'There is a pending capacity reservation');
  }
  const least = MIN_UNITS_PER_ZONE * balancer.zones.length;
  if (units !== undefined && units < least) {
    const message = `The capacity units must be at least ${MIN_UNITS_PER_ZONE} for each Availability Zone, ${least} in all`;
    throw new AwsFailure('InvalidConfigurationRequest', message);
  }
  const wanted = units ?? 0;
  const fresh = !before || world.now() > before.changedAt + DAY_MS;
  const left = fresh ? DECREASES_PER_DAY : before.decreasesLeft;
  const decreases = wanted < (before?.units ?? 0);
  if (decreases && left === 0) {
    throw new AwsFailure('CapacityDecreaseRequestLimitExceeded', 'You have reached the limit of decrease requests for today');
  }
  balancer.capacity = { units: wanted, changedAt: world.now(), decreasesLeft: decreases ? left - 1 : left };
  return capacityXml(world, balancer);
}

function capacityXml(world: World, { capacity, zones }: LoadBalancer): XmlObject {
  if (!capacity || capacity.units === 0) return { DecreaseRequestsRemaining: capacity?.decreasesLeft ?? DECREASES_PER_DAY };
  const Code = world.now() < capacity.changedAt + world.timings.activeMs ? 'pending' : 'provisioned';
  return {
    LastModifiedTime: new Date(capacity.changedAt),
    DecreaseRequestsRemaining: capacity.decreasesLeft,
    MinimumLoadBalancerCapacity: { CapacityUnits: capacity.units },
    CapacityReservationState: zones.map(({ zone }) => ({
      State: { Code },
      AvailabilityZone: zone,
      EffectiveCapacityUnits: Code === 'provisioned' ? Math.ceil(capacity.units / zones.length) : 0,
    })),
  };
}
