import { expect } from '@jest/globals';
import { type Promises, refused } from './stage.ts';

export const accountPromises: Promises = {
  'the quotas are told by name': async (stage) => {
    const { Limits } = await stage.elb.describeAccountLimits({});
    const byName = Object.fromEntries((Limits ?? []).map(({ Name, Max }) => [Name, Max]));
    expect(byName).toMatchObject({
      'network-load-balancers': '50',
      'target-groups': '3000',
      'listeners-per-network-load-balancer': '50',
      'targets-per-network-load-balancer': '3000',
    });
  },
  'the quotas that the API names and its reference does not': async (stage) => {
    const { Limits } = await stage.elb.describeAccountLimits({});
    const byName = Object.fromEntries((Limits ?? []).map(({ Name, Max }) => [Name, Max]));
    expect(byName).toMatchObject({
      'certificates-per-network-load-balancer': '25',
      'network-load-balancer-enis-per-vpc': '1200',
      'targets-per-target-group': '1000',
    });
  },
  'capacity is reserved and given back': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    await stage.elb.modifyCapacityReservation({ LoadBalancerArn, MinimumLoadBalancerCapacity: { CapacityUnits: 3000 } });
    const units = async () => {
      const told = await stage.elb.describeCapacityReservation({ LoadBalancerArn });
      return `${told.MinimumLoadBalancerCapacity?.CapacityUnits} ${told.CapacityReservationState?.[0]?.State?.Code}`;
    };
    await stage.until(units, '3000 provisioned');
    await stage.elb.modifyCapacityReservation({ LoadBalancerArn, ResetCapacityReservation: true });
    await stage.until(async () => (await units()).split(' ')[0], 'undefined');
  },
  'a parameter that must be there is missed by name': (stage) =>
    refused(stage.elb.describeTargetHealth({ TargetGroupArn: undefined as unknown as string }), 'ValidationError'),
};
