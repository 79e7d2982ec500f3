import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ec2Actions, elbActions } from '../../../src/providers/aws/actions.ts';
import { makePolicy } from '../../../src/providers/aws/policy.ts';
import { root } from '../../house/sources.ts';

const folder = join(root, 'src/providers/aws');
const code = readdirSync(folder)
  .map((file) => readFileSync(join(folder, file), 'utf8'))
  .join('\n');

/** What the SDK is asked to send, wherever it stands. */
function commandsOf(): readonly string[] {
  return [...new Set([...code.matchAll(/new (\w+)Command\(/g)].map((match) => match[1]!))].sort();
}

test('the table of actions is what the code can call, each under its own name', () => {
  expect(commandsOf()).toEqual([...Object.keys(elbActions), ...Object.keys(ec2Actions)].sort());
  const calls = [...code.matchAll(/\.(?:elb|ec2)\('(\w+)', \((?:elb|ec2)\) =>\s*(?:elb|ec2)\.send\(\s*new (\w+)Command/g)];
  expect(calls.filter(([, named, sent]) => named !== sent).map(([text]) => text)).toEqual([]);
  expect(new Set(calls.map(([, named]) => named))).toEqual(new Set(commandsOf()));
});

test('the policy allows each of them, and nothing else but the role that the first NLB needs', () => {
  const allowed = new Set(makePolicy('c').Statement.flatMap(({ Action }) => Action));
  const called = [
    ...Object.keys(elbActions).map((name) => `elasticloadbalancing:${name}`),
    ...Object.keys(ec2Actions).map((name) => `ec2:${name}`),
  ];
  expect([...allowed].sort()).toEqual([...called, 'iam:CreateServiceLinkedRole'].sort());
});

test('every write but rules on groups of nodes is bound to the cluster’s tag', () => {
  const free = makePolicy('c').Statement.filter(
    ({ Condition }) => !JSON.stringify(Condition ?? {}).includes('nodeport-lb.io/cluster'),
  );
  expect(free.map(({ Sid }) => Sid)).toEqual(['Read', 'CreateSecurityGroupInVpc', 'Rules', 'FirstLoadBalancerOfTheAccount']);
});

test('docs/aws-iam-policy.json is that policy (else: npm run docs)', () => {
  expect(JSON.parse(readFileSync(join(root, 'docs/aws-iam-policy.json'), 'utf8'))).toEqual(makePolicy('kubernetes'));
});
