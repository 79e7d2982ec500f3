import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Step } from '../../../src/model.ts';
import { ec2Actions, elbActions } from '../../../src/providers/aws/actions.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { nothingReserved } from '../builders.ts';
import { drop, want } from '../drive.ts';
import { makeAws, makeProvider, nlb, workers } from './stage.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let provider: Provider;

beforeEach(async () => {
  aws = await makeAws();
  provider = makeProvider(aws);
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

const seen: string[] = [];

/** Applies, and holds what the step says against what AWS was asked. */
async function applyAndCompare(step: Step): Promise<void> {
  aws.calls.reset();
  await provider.apply(step);
  const asked = Object.keys(aws.calls.counts()).filter((action) => !action.startsWith('Describe'));
  const [, action = ''] = /^(?:elasticloadbalancing|ec2):(\w+)/.exec(step.call ?? '') ?? [];
  expect(asked.length === 0 ? [action] : asked).toContain(action);
  seen.push(step.call ?? '');
}

const certificate = (number: number) =>
  `arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-00000000000${number}`;

test('every step says the call that it makes, with names instead of ids', async () => {
  const tls = `${certificate(1)},${certificate(2)}`;
  const full = {
    [`${AWS}ssl-cert`]: tls,
    [`${AWS}ssl-ports`]: '443',
    [`${AWS}attributes`]: 'load_balancing.cross_zone.enabled=true',
    [`${AWS}target-group-attributes`]: 'deregistration_delay.timeout_seconds=30',
    [`${AWS}listener-attributes.TCP-80`]: 'tcp.idle_timeout.seconds=600',
    [`${AWS}minimum-load-balancer-capacity`]: 'CapacityUnits=9000',
    [`${AWS}inbound-sg-rules-on-private-link-traffic`]: 'off',
  };
  const stages = [
    nlb({ ports: [{ port: 80 }, { port: 443 }] }, full),
    nlb(
      { ports: [{ port: 80 }, { port: 443 }] },
      { ...full, [`${AWS}ssl-cert`]: certificate(1), [`${AWS}subnets`]: 'public-a,public-b' },
    ),
    nlb(
      { ports: [{ port: 81 }], nodes: workers.slice(1) },
      { [`${AWS}healthcheck-interval`]: '20', [`${AWS}ip-address-type`]: 'dualstack' },
    ),
    nlb({}, { [`${AWS}scheme`]: 'internal' }),
  ];
  for (const stage of stages) await want(provider, stage, applyAndCompare);
  await drop(provider, 'default/web');
  const actions = new Set(seen.map((call) => call.split(' ')[0]));
  const known = [
    ...Object.keys(elbActions).map((name) => `elasticloadbalancing:${name}`),
    ...Object.keys(ec2Actions).map((name) => `ec2:${name}`),
  ];
  expect([...actions].filter((action) => !known.includes(action!))).toEqual([]);
  expect(actions.size).toBeGreaterThanOrEqual(18);
  expect(seen).toContainEqual(
    expect.stringMatching(/^elasticloadbalancing:CreateListener LoadBalancer=np-\S+ Port=80 Protocol=TCP TargetGroup=np-\S+$/),
  );
  expect(seen).toContainEqual(
    expect.stringMatching(
      /^elasticloadbalancing:RegisterTargets TargetGroup=np-\S+ Targets=i-0+1:30080,i-0+2:30080,i-0+3:30080$/,
    ),
  );
  expect(seen).toContainEqual(
    expect.stringMatching(/^ec2:AuthorizeSecurityGroupIngress Group=sg-nodes IpPermissions=tcp:30000-32767:the shared group$/),
  );
});
