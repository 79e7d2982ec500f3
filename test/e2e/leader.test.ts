import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { explain } from '../../src/errors.ts';
import { type SandboxAws, startAws } from '../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../src/sandbox/aws/seed.ts';
import { run } from './lab/command.ts';
import { Process } from './lab/process.ts';
import { CONDITION, type ServiceObject } from './lab/product.ts';
import { type Passed, Tap } from './lab/tap.ts';
import { until } from './lab/until.ts';
import { type RealKube, startRealKube } from './real-kube.ts';

const PROGRAM = join(import.meta.dirname, '../../src/bin.js');
const WITHIN_MS = 60_000;

/** One replica, with a tap on each of its ways out. */
interface Replica {
  readonly process: Process;
  readonly kube: Tap;
  readonly aws: Tap;
}

interface Lease {
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly holderIdentity?: string; readonly renewTime?: string; readonly leaseTransitions?: number };
}

/** Several replicas over one real API server and one AWS: one leads, and another when it dies, stops or is paused. */
describe('leaders', () => {
  let kube: RealKube;
  let aws: SandboxAws;
  const running: Replica[] = [];
  let started = 0;

  beforeAll(async () => {
    const seed = typicalAccount({ instances: 3 });
    [kube, aws] = await Promise.all([startRealKube(), startAws({ seed })]);
    const nodes = (seed.instances ?? []).map(({ id }, at) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `n${at + 1}` },
      spec: { providerID: `aws:///${seed.region}${'abc'[at % 3]}/${id}` },
      status: { addresses: [{ type: 'InternalIP', address: `10.0.99.${at + 1}` }] },
    }));
    await kubectl(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items: nodes });
    for (const namespace of ['shop', 'study']) await kubectl(['create', 'namespace', namespace]);
  });

  afterAll(async () => {
    await kube?.close();
    await aws?.close();
  });

  afterEach(async () => {
    for (const { process, kube: one, aws: other } of running.splice(0)) {
      if (process.alive) process.signal('SIGCONT');
      if (process.alive) await process.kill();
      await Promise.all([one.close(), other.close()]);
    }
    const leases = await kubectl(['-n', 'kube-system', 'get', 'lease', '-o', 'name']);
    const ours = leases.split('\n').filter((lease) => lease.includes('/nodeport-lb'));
    if (ours.length > 0) await kubectl(['-n', 'kube-system', 'delete', ...ours]);
  });

  async function kubectl(args: readonly string[], input?: object): Promise<string> {
    const all = ['--kubeconfig', kube.kubeconfig, ...args];
    const env = { ...process.env, HOME: kube.directory };
    const given = input === undefined ? {} : { input: JSON.stringify(input) };
    return (await run(kube.tools.kubectl, all, { env, timeoutMs: WITHIN_MS, ...given })).stdout;
  }

  async function read<T>(path: string): Promise<T> {
    return JSON.parse(await kubectl(['get', '--raw', path])) as T;
  }

  async function start(args: readonly string[] = ['--provider', 'aws']): Promise<Replica> {
    const name = `replica-${++started}`;
    const taps = { kube: await Tap.open(kube.url), aws: await Tap.open(aws.url) };
    const kubeconfig = join(kube.directory, `${name}.kubeconfig`);
    const user = { token: (kube.headers?.['authorization'] ?? '').replace('Bearer ', '') };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster: { server: taps.kube.url } }],
      users: [{ name, user }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    const env = {
      ...process.env,
      KUBECONFIG: '',
      AWS_ENDPOINT_URL: taps.aws.url,
      AWS_REGION: aws.region,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    };
    const logFile = join(kube.directory, `${name}.log`);
    const own = [PROGRAM, 'controller', '--kubeconfig', kubeconfig, '--leader-elect', 'true', ...args];
    const replica = { process: new Process({ name, command: process.execPath, args: own, env, logFile }), ...taps };
    running.push(replica);
    return replica;
  }

  /** Waits until one of them leads. */
  async function leading(replicas: readonly Replica[]): Promise<Replica> {
    const leads = ({ process }: Replica): boolean => process.alive && /\bleading\b/.test(process.log());
    return withLogs(until(() => replicas.find(leads), { withinMs: WITHIN_MS, what: 'one leads', everyMs: 10 }));
  }

  async function withLogs<T>(work: Promise<T>): Promise<T> {
    return work.catch((error: unknown): never => {
      throw new Error(`${explain(error)}\n${running.map(({ process }) => `--- ${process.name}\n${process.tail()}`).join('\n')}`);
    });
  }

  async function startThree(): Promise<{ readonly first: Replica; readonly others: readonly Replica[] }> {
    const first = await start();
    await leading([first]);
    const others = [await start(), await start()];
    await Promise.all(others.map(waits));
    return { first, others };
  }

  /** It has read the cluster, watches the Lease, and leads not. */
  async function waits({ kube: tap, process }: Replica): Promise<void> {
    const watchesLease = ({ path }: Passed): boolean => path.includes('/leases?') && path.includes('watch=true');
    await until(() => tap.passed.some(watchesLease), { withinMs: WITHIN_MS, what: `${process.name} waits` });
  }

  const service = (name: string): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80 }] },
  });

  const create = (...names: readonly string[]): Promise<string> =>
    kubectl(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items: names.map(service) });

  async function ready(...names: readonly string[]): Promise<void> {
    const wait = ['-n', 'shop', 'wait', `--for=condition=${CONDITION}`, `--timeout=${WITHIN_MS / 2_000}s`];
    await withLogs(kubectl([...wait, ...names.map((name) => `service/${name}`)]));
  }

  /** Each Service has one NLB and one target group, and there is nothing else. */
  async function expectNothingTwice(): Promise<void> {
    const { items } = await read<{ items: readonly ServiceObject[] }>('/api/v1/namespaces/shop/services');
    const wanted = items.map(({ metadata }) => `shop/${metadata.name}`).sort();
    const keys = (arns: readonly string[]) => arns.map((arn) => aws.tagsOf(arn)['nodeport-lb.io/balancer']).sort();
    expect(keys(aws.loadBalancers().map(({ arn }) => arn))).toEqual(wanted);
    expect(keys(aws.targetGroups().map(({ arn }) => arn))).toEqual(wanted);
    expect(aws.listeners().length).toBe(wanted.length);
  }

  const isWrite = ({ method, path }: Passed): boolean => method !== 'GET' && !path.includes('/leases');
  const isAwsWrite = ({ body }: Passed): boolean => !/Action=Describe|DryRun=true/.test(body);

  /** What a replica has asked to be changed since then, its Lease aside. */
  const writesSince = (at: number, replica: Replica): readonly string[] => [
    ...replica.kube.passed.filter((one) => one.at >= at && isWrite(one)).map(({ method, path }) => `${method} ${path}`),
    ...replica.aws.passed.filter((one) => one.at >= at && isAwsWrite(one)).map(({ body }) => body.slice(0, 60)),
  ];

  async function delayOf(since: number, others: readonly Replica[], what: string): Promise<number> {
    await leading(others);
    const ms = Date.now() - since;
    process.stderr.write(`leaders: ${what}: another leads after ${ms} ms\n`);
    return ms;
  }

  test('a leader is killed in the middle of its work: another leads within seconds and finishes it, nothing is made twice', async () => {
    const { first, others } = await startThree();
    const answer = first.aws.hold(({ body }) => body.includes('Action=CreateLoadBalancer'));
    await create('killed-1', 'killed-2', 'killed-3');
    await answer.met; // AWS has made one, and the leader does not know
    const since = Date.now();
    await first.process.kill();
    answer.release();
    expect(await delayOf(since, others, 'killed')).toBeLessThan(15_000); // 2 to 3 s; a loaded machine takes its time
    await ready('killed-1', 'killed-2', 'killed-3');
    await expectNothingTwice();
    expect(others.filter((one) => one.aws.passed.length > 0).length).toBe(1); // who only waits asks nothing of AWS
  });

  test('a leader is stopped: another leads at once', async () => {
    const { first, others } = await startThree();
    await create('stopped');
    await ready('stopped');
    const letsGo = ({ method, body }: Passed): boolean => method === 'PUT' && body.includes('"holderIdentity":""');
    first.process.signal('SIGTERM');
    const { at } = await until(() => first.kube.passed.find(letsGo), { withinMs: WITHIN_MS, what: 'it lets go', everyMs: 5 });
    expect(await delayOf(at, others, 'released')).toBeLessThan(2_000); // sooner than any Lease could expire
    expect(await first.process.exited).toEqual({ code: 0, signal: null });
    await kubectl(['-n', 'shop', 'delete', 'service', 'stopped', '--wait=true']);
    await expectNothingTwice();
  });

  test.each([
    { what: 'AWS', hold: (one: Replica) => one.aws.hold(({ body }) => body.includes('Action=CreateTargetGroup')) },
    {
      what: 'the API server',
      hold: (one: Replica) => one.kube.hold(({ method, path }) => method === 'PATCH' && path.includes('/status')),
    },
  ])('a leader is paused while $what answers, and goes on after another has led: it sends nothing more', async ({ hold }) => {
    const { first, others } = await startThree();
    const name = `paused-${started}`;
    const answer = hold(first);
    await create(name);
    await answer.met; // this one is under way
    const since = Date.now();
    first.process.signal('SIGSTOP');
    expect(await delayOf(since, others, 'paused')).toBeLessThan(15_000);
    answer.release();
    await ready(name);
    const resumed = Date.now();
    first.process.signal('SIGCONT');
    await first.process.logged(/no longer leading/, WITHIN_MS);
    await create(`${name}-later`);
    await ready(`${name}-later`);
    expect(writesSince(resumed, first)).toEqual([]);
    await expectNothingTwice();
  });

  test('controllers of different namespaces lead side by side, and replicas of each take turns', async () => {
    const scoped = (...namespaces: readonly string[]) => start(['--namespaces', namespaces.join()]);
    const [shop, study] = await Promise.all([scoped('shop'), scoped('study')]);
    await Promise.all([leading([shop]), leading([study])]);
    const second = await scoped('shop');
    await waits(second);
    const { items } = await read<{ items: readonly Lease[] }>('/apis/coordination.k8s.io/v1/namespaces/kube-system/leases');
    const ours = items.filter(({ metadata }) => metadata.name.startsWith('nodeport-lb')); // the API server has one of its own
    expect(ours.filter(({ spec }) => spec?.holderIdentity).length).toBe(2);
    expect(second.process.log()).not.toMatch(/\bleading\b/);
  });
});
