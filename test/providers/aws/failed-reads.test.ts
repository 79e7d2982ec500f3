import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { nothingReserved } from '../builders.ts';
import { reportOf, want } from '../drive.ts';
import { makeAws, makeProvider, nlb } from './stage.ts';

const annotations = {
  'service.beta.kubernetes.io/aws-load-balancer-listener-attributes.TCP-80': 'tcp.idle_timeout.seconds=400',
  'service.beta.kubernetes.io/aws-load-balancer-attributes': 'load_balancing.cross_zone.enabled=true',
  'service.beta.kubernetes.io/aws-load-balancer-target-group-attributes': 'deregistration_delay.timeout_seconds=120',
};
const before = nlb({}, annotations);
const after = nlb({ ports: [{ port: 80, nodePort: 31_000 }] }, annotations);

let aws: SandboxAws;
let provider: Provider;
beforeEach(async () => {
  aws = await makeAws();
  await start([]);
  await want(provider, before);
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

async function start(balancers: readonly Balancer[]): Promise<void> {
  await provider?.close(0);
  provider = makeProvider(aws);
  await provider.open({ balancers, surroundings: nothingReserved, changed: () => {} });
}

const ports = (): readonly number[] => [
  ...new Set(aws.targetGroups().flatMap(({ arn }) => aws.targetsOf(arn).map(({ port }) => port))),
];

test.each([
  ['DescribeTargetHealth', 'RequestExpired', 'AwsCredentials'],
  ['DescribeTargetHealth', 'AccessDenied', 'AwsDenied'],
  ['DescribeListeners', 'AccessDenied', 'AwsDenied'],
  ['DescribeListenerAttributes', 'AccessDenied', 'AwsDenied'],
  ['DescribeLoadBalancerAttributes', 'AccessDenied', 'AwsDenied'],
  ['DescribeTargetGroupAttributes', 'AccessDenied', 'AwsDenied'],
] as const)('a change is not taken for done where %s fails with %s', async (action, name, code) => {
  await start([after]); // what was changed meanwhile has to be read
  const fault = aws.inject({ action, code: name, status: 403 });
  await expect(want(provider, after)).rejects.toMatchObject({ code });
  fault.remove();
  expect((await reportOf(provider, 'default/web')).settled).toBe(false);
  await want(provider, after);
  expect(ports()).toEqual([31_000]);
});
