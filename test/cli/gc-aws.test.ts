import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteSecurityGroupCommand, EC2Client, RevokeSecurityGroupIngressCommand } from '@aws-sdk/client-ec2';
import {
  CreateLoadBalancerCommand,
  CreateTargetGroupCommand,
  DeleteListenerCommand,
  DeleteLoadBalancerCommand,
  DeleteTargetGroupCommand,
  ElasticLoadBalancingV2Client,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Leftover } from '../../src/cli/gc.ts';
import type { Balancer } from '../../src/model.ts';
import { instanceIdOf } from '../../src/providers/aws/instances.ts';
import type { SandboxAws } from '../../src/sandbox/aws/aws.ts';
import { type SandboxKube, startKube } from '../../src/sandbox/kube/kube.ts';
import { accountEnv, credentials, makeAws, makeProvider, nlb, workers } from '../providers/aws/stage.ts';
import { nothingReserved } from '../providers/builders.ts';
import { want } from '../providers/drive.ts';
import { call } from './call.ts';

jest.setTimeout(120_000);

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let kube: SandboxKube;
let folder: string;
let elb: ElasticLoadBalancingV2Client;
let ec2: EC2Client;
const environment = process.env;

beforeEach(async () => {
  aws = await makeAws();
  kube = await startKube();
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
  await kube.writeKubeconfig(join(folder, 'kubeconfig'));
  process.env = { ...environment, ...accountEnv(aws) };
  const connection = { region: aws.region, endpoint: aws.url, credentials };
  [elb, ec2] = [new ElasticLoadBalancingV2Client(connection), new EC2Client(connection)];
  await othersBuild();
});
afterEach(async () => {
  process.env = environment;
  elb.destroy();
  ec2.destroy();
  await kube.close();
  await aws.close();
  await rm(folder, { recursive: true });
});

/** What stands before we come, and must stand when we have gone. */
async function othersBuild(): Promise<void> {
  const theirs = { Name: 'np-default-theirs', Type: 'network' as const, Subnets: ['subnet-public-a'] };
  await elb.send(new CreateLoadBalancerCommand(theirs));
  await elb.send(new CreateTargetGroupCommand({ Name: 'np-theirs', Protocol: 'TCP', Port: 1, VpcId: 'vpc-1' }));
  await make('neighbour', [nlb({}, { [`${AWS}subnets`]: 'public-a' })]);
  aws
    .securityGroups()
    .find(({ id }) => id === 'sg-nodes')!
    .rules.set('sgr-ops', {
      id: 'sgr-ops',
      egress: false,
      protocol: 'tcp',
      fromPort: 22,
      toPort: 22,
      peer: { kind: 'ipv4', value: '10.0.0.0/8' },
      description: 'ops',
    });
}

/** What a controller of that cluster has made, and left behind. */
async function make(clusterName: string, balancers: readonly Balancer[]): Promise<void> {
  const provider = makeProvider(aws, {}, {}, clusterName);
  await provider.open({ balancers, surroundings: nothingReserved, changed: () => {} });
  for (const balancer of balancers) await want(provider, balancer);
  await provider.close(0);
}

async function gc(...words: readonly string[]): Promise<{ readonly leftovers: readonly Leftover[]; readonly said: string }> {
  const flags = ['--provider', 'aws', '--kubeconfig', join(folder, 'kubeconfig'), '--log-level', 'error', '-o', 'json'];
  const called = call(['gc', ...flags, ...words]);
  expect(await called.ended).toBe(0);
  const { leftovers } = JSON.parse(called.stdout()) as { leftovers: readonly Leftover[] };
  return { leftovers, said: called.stderr() };
}

const ours = () => aws.leftovers();
const ourNlb = () => aws.loadBalancers().find(({ arn }) => aws.tagsOf(arn)['nodeport-lb.io/cluster'] === 'kubernetes')!;
const ourGroup = () => aws.targetGroups().find(({ arn }) => aws.tagsOf(arn)['nodeport-lb.io/cluster'] === 'kubernetes')!;
const ourSecurityGroups = () =>
  aws.securityGroups().filter(({ id }) => aws.tagsOf(id)['nodeport-lb.io/cluster'] === 'kubernetes');

async function deleteNlb(): Promise<void> {
  await elb.send(new DeleteLoadBalancerCommand({ LoadBalancerArn: ourNlb().arn }));
}
async function deleteTargetGroup(): Promise<void> {
  await elb.send(new DeleteTargetGroupCommand({ TargetGroupArn: ourGroup().arn }));
}
/** Those that are one balancer's own, or the one that all share, with what the nodes allow it. */
async function deleteSecurityGroups(kind: 'own' | 'shared'): Promise<void> {
  for (const { id } of ourSecurityGroups()) {
    if ((aws.tagsOf(id)['nodeport-lb.io/balancer'] === ':shared') !== (kind === 'shared')) continue;
    const nodes = aws.securityGroups().find((group) => group.id === 'sg-nodes')!;
    const rules = [...nodes.rules.values()].filter(({ peer }) => peer.value === id).map((rule) => rule.id);
    if (rules.length > 0) {
      await ec2.send(new RevokeSecurityGroupIngressCommand({ GroupId: 'sg-nodes', SecurityGroupRuleIds: rules }));
    }
    await ec2.send(new DeleteSecurityGroupCommand({ GroupId: id }));
  }
}

describe('what no Service wants any more is listed, and deleted with all that belongs to it; what is not ours stays', () => {
  test.each<{
    why: string;
    annotations?: Record<string, string>;
    lose: () => Promise<void>;
    id?: string;
    steps: readonly RegExp[];
  }>([
    {
      why: 'a whole balancer',
      lose: async () => {},
      steps: [
        /delete NLB/,
        /delete target group/,
        /no longer allow .* in sg-nodes/,
        /delete security group/,
        /delete security group/,
      ],
    },
    {
      why: 'an NLB that is alone',
      annotations: { [`${AWS}disable-nlb-sg`]: 'true' },
      lose: async () => {
        const listener = aws.listeners().find((one) => one.loadBalancerArn === ourNlb().arn)!;
        await elb.send(new DeleteListenerCommand({ ListenerArn: listener.arn }));
        await deleteTargetGroup();
      },
      steps: [/delete NLB np-default-gone/],
    },
    {
      why: 'a target group whose NLB is gone',
      lose: async () => {
        await deleteNlb();
        await deleteSecurityGroups('own');
        await deleteSecurityGroups('shared');
      },
      steps: [/delete target group np-default-gone/],
    },
    {
      why: 'a security group whose NLB is gone',
      lose: async () => {
        await deleteNlb();
        await deleteTargetGroup();
        await deleteSecurityGroups('shared');
      },
      steps: [/delete security group np-default-gone/],
    },
    {
      why: 'the shared security group, and its rules on the nodes’ group',
      lose: async () => {
        await deleteNlb();
        await deleteTargetGroup();
        await deleteSecurityGroups('own');
      },
      id: ':shared',
      steps: [/no longer allow .* in sg-nodes/, /delete security group np-shared/],
    },
  ])('$why', async ({ annotations = {}, lose, id = 'default/gone', steps }) => {
    const before = ours();
    const fixed = { [`${AWS}eip-allocations`]: 'eipalloc-1,eipalloc-2,eipalloc-3' };
    await make('kubernetes', [nlb({ name: 'gone' }, { ...fixed, ...annotations })]);
    await lose();
    const { leftovers } = await gc();
    expect(leftovers).toMatchObject([{ kind: 'balancer', id, why: expect.stringContaining('no Service') }]);
    for (const step of steps) expect(leftovers[0]!.steps).toContainEqual(expect.stringMatching(step));
    const { said } = await gc('--delete');
    for (const step of steps) expect(said).toMatch(step);
    expect(ours()).toEqual(before);
    expect((await gc()).leftovers).toEqual([]);
  });
});

/** A Service as its controller has left it. */
function hold(name: string, annotations: Readonly<Record<string, string>>): string {
  const metadata = {
    name,
    finalizers: ['nodeport-lb.io/cleanup'],
    annotations: { ...annotations, 'nodeport-lb.io/held-by': 'aws/kubernetes' },
  };
  const spec = { type: 'LoadBalancer', ports: [{ port: 80 }] };
  const made = kube.objects.create({ resource: 'services', namespace: 'default' }, { metadata, spec });
  return String(made.metadata.uid);
}

test('what a Service holds is no leftover; the listener of a member that has gone is one, and the controller’s to take down', async () => {
  const share = { 'nodeport-lb.io/share': 'edge' };
  const uid = hold('web', share);
  const wish = nlb({ ports: [{ port: 80 }, { port: 81 }] }, share);
  const [first, second] = wish.listeners;
  const members = [
    { ...wish.members[0]!, uid },
    { ...wish.members[0]!, name: 'gone', uid: 'uid-gone' },
  ];
  const listeners = [
    { ...first!, service: members[0]! },
    { ...second!, service: members[1]! },
  ];
  await make('kubernetes', [{ ...wish, key: 'default/share:edge', members, listeners }]);
  const before = ours();
  const { leftovers } = await gc('--delete');
  expect(leftovers).toEqual([
    {
      kind: 'listener',
      id: 'default/share:edge 81/TCP',
      balancer: 'default/share:edge',
      why: 'no Service has the UID uid-gone any more; the controller takes it down in its next pass',
    },
  ]);
  expect(ours()).toEqual(before);
});

test('an NLB that a Service is leaving for another one is the controller’s to take down; the rest goes', async () => {
  const before = ours();
  const uid = hold('web', { 'nodeport-lb.io/share': 'front' });
  const wish = nlb();
  const service = { ...wish.listeners[0]!.service, uid };
  const web = { ...wish, members: [{ ...wish.members[0]!, uid }], listeners: [{ ...wish.listeners[0]!, service }] };
  await make('kubernetes', [web]);
  const serving = ours();
  await make('kubernetes', [web, nlb({ name: 'gone' })]);
  const { leftovers } = await gc('--delete');
  expect(leftovers).toMatchObject([
    { kind: 'balancer', id: 'default/gone' },
    { kind: 'balancer', id: 'default/web', leaving: ['default/web'], why: expect.stringContaining('clients of default/web') },
  ]);
  expect(ours()).toEqual(serving);
  const ref = { resource: 'services', namespace: 'default', name: 'web' } as const;
  kube.objects.patch(ref, { metadata: { finalizers: null } }, 'merge');
  kube.objects.delete(ref);
  await gc('--delete');
  expect(ours()).toEqual(before);
});

test('a Service of that name that was let go of does not hide what it left behind', async () => {
  const before = ours();
  await make('kubernetes', [nlb()]);
  const metadata = { name: 'web' };
  const spec = { type: 'ClusterIP', ports: [{ port: 80 }] };
  kube.objects.create({ resource: 'services', namespace: 'default' }, { metadata, spec });
  expect((await gc('--delete')).leftovers).toMatchObject([{ id: 'default/web' }]);
  expect(ours()).toEqual(before);
});

test('a security group that is still in use is waited for', async () => {
  const before = ours();
  await make('kubernetes', [nlb({ name: 'gone' })]);
  aws.inject({ action: 'DeleteSecurityGroup', code: 'DependencyViolation', times: 1 });
  await gc('--delete');
  expect(ours()).toEqual(before);
});

test('what others use, too, is kept and named, and the rest goes', async () => {
  await make('kubernetes', [nlb({ name: 'gone', nodes: workers.slice(1) }, { [`${AWS}multi-cluster-target-group`]: 'true' })]);
  const theirs = { Id: instanceIdOf(workers[0]!)!, Port: 32_000 };
  await elb.send(new RegisterTargetsCommand({ TargetGroupArn: ourGroup().arn, Targets: [theirs] }));
  await make('kubernetes', [nlb({ name: 'next' })]);
  const { said } = await gc('--delete');
  expect(said).toMatch(/default\/gone: Target group .* stays, as it holds a target that others registered/);
  expect(aws.loadBalancers().filter(({ name }) => /gone|next/.test(name))).toHaveLength(1);
  const left = aws.targetGroups().flatMap(({ name, arn }) => (name.includes('gone') ? aws.targetsOf(arn) : []));
  expect(left.map(({ id, port }) => [id, port])).toEqual([[theirs.Id, theirs.Port]]);
});

test('an AWS that cannot be read is not one where nothing is left over', async () => {
  aws.inject({ action: '*', says: 'expired' });
  const words = ['gc', '--provider', 'aws', '--kubeconfig', join(folder, 'kubeconfig')];
  await expect(call(words).ended).rejects.toMatchObject({ code: 'AwsCredentials' });
});

test('--dry-run lists, and deletes nothing', async () => {
  await make('kubernetes', [nlb({ name: 'gone' })]);
  const before = ours();
  const { leftovers, said } = await gc('--delete', '--dry-run');
  expect([leftovers.length, said]).toEqual([1, 'dry run: nothing was deleted\n']);
  expect(ours()).toEqual(before);
});
