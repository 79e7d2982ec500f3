import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type SandboxKube, startKube } from '../../src/sandbox/kube/kube.ts';
import { until } from '../contracts/kube/client.ts';
import { prepareTools } from './tools.ts';

/** The real kubectl against the sandbox: what a person who kept the demo running will type. */

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const WAIT_MS = 60_000;

describe('kubectl on the sandbox', () => {
  let kube: SandboxKube;
  let directory: string;
  let command: string;
  beforeAll(async () => {
    command = process.env['NODEPORT_LB_KUBECTL'] ?? (await prepareTools((line) => console.error(line))).kubectl;
    kube = await startKube();
    directory = mkdtempSync(join(tmpdir(), 'sandbox-kubectl-'));
    await kube.writeKubeconfig(join(directory, 'config'));
  });
  afterAll(async () => {
    await kube.close();
    rmSync(directory, { recursive: true, force: true });
  });

  function kubectl(args: string, input?: string, env: NodeJS.ProcessEnv = {}): Promise<Result> {
    const words = args.match(/'[^']*'|\S+/g)?.map((word) => word.replaceAll(/^'|'$/g, '')) ?? [];
    const options = { env: { ...process.env, HOME: directory, KUBECONFIG: join(directory, 'config'), ...env }, timeout: WAIT_MS };
    return new Promise((resolve) => {
      const child = execFile(command, words, options, (error, out, err) => {
        resolve({ code: error ? (typeof error.code === 'number' ? error.code : 1) : 0, out, err });
      });
      child.stdin?.end(input ?? '');
    });
  }

  /** Runs it, and expects success without a word on standard error. */
  async function say(args: string, input?: string): Promise<string> {
    const result = await kubectl(args, input);
    expect(result).toMatchObject({ code: 0, err: '' });
    return result.out;
  }

  const rows = (out: string): string[][] =>
    out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/).filter((cell) => cell !== ''));

  const loadBalancer = `
apiVersion: v1
kind: Service
metadata: {name: kubia-loadbalancer}
spec:
  type: LoadBalancer
  selector: {app: kubia}
  ports: [{port: 80, targetPort: 8080, nodePort: 30123}]
`;

  test('apply, twice, with a change, and seen by diff', async () => {
    expect(await say('apply -f -', loadBalancer)).toBe('service/kubia-loadbalancer created\n');
    expect(await say('apply -f -', loadBalancer)).toBe('service/kubia-loadbalancer unchanged\n');
    const changed = loadBalancer.replace('port: 80,', 'port: 81,');
    const diff = await kubectl('diff -f -', changed);
    expect(diff).toMatchObject({ code: 1, err: '' });
    expect(diff.out).toContain('+    port: 81');
    expect(await say('apply -f -', changed)).toBe('service/kubia-loadbalancer configured\n');
    expect(await say('apply --dry-run=server -f -', changed)).toBe('service/kubia-loadbalancer unchanged (server dry run)\n');
    expect(await say('apply --server-side --force-conflicts -f -', changed)).toBe(
      'service/kubia-loadbalancer serverside-applied\n',
    );
  });

  test('get shows <pending>, then the address', async () => {
    const [header, row] = rows(await say('get svc kubia-loadbalancer'));
    expect(header?.join(' ')).toBe('NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE');
    expect(row?.slice(0, 5)).toEqual([
      'kubia-loadbalancer',
      'LoadBalancer',
      expect.stringMatching(/^10\./),
      '<pending>',
      '81:30123/TCP',
    ]);
    const patch = '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.9"}]}}}';
    await say(`patch svc kubia-loadbalancer --subresource=status --type=merge -p '${patch}'`);
    expect(rows(await say('get svc kubia-loadbalancer -o wide'))[1]?.[3]).toBe('192.0.2.9');
    expect(await say('get svc kubia-loadbalancer -o jsonpath={.status.loadBalancer.ingress[0].ipMode}')).toBe('VIP');
  });

  test('wait for a field and for a condition', async () => {
    const path = "'--for=jsonpath={.status.loadBalancer.ingress[0].ip}=192.0.2.9'";
    expect(await say(`wait svc/kubia-loadbalancer ${path} --timeout=5s`)).toContain('condition met');
    const waiting = kubectl('wait svc/kubia-loadbalancer --for=condition=a.io/Ready --timeout=20s');
    const condition = {
      type: 'a.io/Ready',
      status: 'True',
      reason: 'R',
      message: '',
      lastTransitionTime: '2024-01-01T00:00:00Z',
    };
    const patch = JSON.stringify({ status: { conditions: [condition] } });
    await say(`patch svc kubia-loadbalancer --subresource=status -p '${patch}'`);
    expect(await waiting).toMatchObject({ code: 0, err: '', out: expect.stringContaining('condition met') });
  });

  test('create, expose, scale, label, annotate, patch, edit', async () => {
    expect(await say('create ns study')).toBe('namespace/study created\n');
    expect(await say('-n study create deployment web --image=nginx --port=80')).toBe('deployment.apps/web created\n');
    expect(await say('-n study expose deployment web --type=NodePort --port=80 --target-port=8080')).toBe(
      'service/web exposed\n',
    );
    expect(await say('-n study scale deployment web --replicas=3')).toBe('deployment.apps/web scaled\n');
    expect(rows(await say('-n study get deployment web'))[1]?.[1]).toBe('0/3');
    expect(await say('-n study label svc web a=b')).toBe('service/web labeled\n');
    expect(await say('-n study annotate svc web x/y=z')).toBe('service/web annotated\n');
    expect(await say(`-n study patch svc web -p '{"spec":{"type":"LoadBalancer"}}'`)).toBe('service/web patched\n');
    const edited = await kubectl('-n study edit svc web', undefined, { EDITOR: 'sed -i s/8080/9090/' });
    expect(edited).toMatchObject({ code: 0, out: 'service/web edited\n' });
    expect(await say('-n study get svc web -o jsonpath={.spec.ports[0].targetPort}/{.spec.type}')).toBe('9090/LoadBalancer');
    expect(await say('-n study get svc -l a=b -o name')).toBe('service/web\n');
    expect(rows(await say('-n study get all')).map((row) => row[0])).toEqual(
      expect.arrayContaining(['service/web', 'deployment.apps/web']),
    );
  });

  test('describe a Service, with its events', async () => {
    const uid = await say('get svc kubia-loadbalancer -o jsonpath={.metadata.uid}');
    const involvedObject = { kind: 'Service', apiVersion: 'v1', namespace: 'default', name: 'kubia-loadbalancer', uid };
    const time = new Date().toISOString();
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'one', namespace: 'default' },
      involvedObject,
      reason: 'EnsuredLoadBalancer',
      message: 'it has an address',
      type: 'Normal',
      source: { component: 'nodeport-lb' },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
    await say('create -f -', JSON.stringify(event));
    const out = await say('describe svc kubia-loadbalancer');
    expect(out).toMatch(/LoadBalancer Ingress:\s+192\.0\.2\.9 \(VIP\)/);
    expect(out).toMatch(/Normal\s+EnsuredLoadBalancer\s+\d+s\s+nodeport-lb\s+it has an address/);
    expect(
      rows(await say('get events'))
        .at(-1)
        ?.slice(1, 4),
    ).toEqual(['Normal', 'EnsuredLoadBalancer', 'service/kubia-loadbalancer']);
    expect(await say('events')).toContain('it has an address');
  });

  test('nodes: get, describe, cordon, taint, label', async () => {
    const node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'node-a' },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }], conditions: [{ type: 'Ready', status: 'True' }] },
    };
    await say('create -f -', JSON.stringify(node));
    expect(rows(await say('get nodes -o wide'))[1]?.slice(0, 3)).toEqual(['node-a', 'Ready', '<none>']);
    expect(await say('describe node node-a')).toMatch(/InternalIP:\s+10\.0\.0\.1/);
    expect(await say('cordon node-a')).toBe('node/node-a cordoned\n');
    expect(await say('uncordon node-a')).toBe('node/node-a uncordoned\n');
    expect(await say('taint node node-a ToBeDeletedByClusterAutoscaler=1:NoSchedule')).toBe('node/node-a tainted\n');
    expect(await say('label node node-a node.kubernetes.io/exclude-from-external-load-balancers=')).toBe('node/node-a labeled\n');
    expect(await say('wait node/node-a --for=condition=Ready --timeout=5s')).toContain('condition met');
    expect(await say('delete node node-a')).toContain('deleted');
  });

  test('endpoints by hand, with the warning that the real server gives, and their slice', async () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'my-service' },
      spec: { ports: [{ port: 80, targetPort: 9376 }] },
    };
    const subsets = [{ addresses: [{ ip: '1.2.3.4' }], ports: [{ port: 9376 }] }];
    await say('apply -f -', JSON.stringify(service));
    const applied = await kubectl(
      'apply -f -',
      JSON.stringify({ apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'my-service' }, subsets }),
    );
    expect(applied).toMatchObject({ code: 0, out: 'endpoints/my-service created\n' });
    expect(applied.err).toMatch(/^Warning: v1 Endpoints is deprecated in v1\.33\+/);
    expect(rows((await kubectl('get endpoints my-service')).out)[1]?.[1]).toBe('1.2.3.4:9376');
    expect(rows(await say('get endpointslices -l kubernetes.io/service-name=my-service'))[1]?.slice(1, 4)).toEqual([
      'IPv4',
      '9376',
      '1.2.3.4',
    ]);
    expect(await say('describe svc my-service')).toMatch(/Endpoints:\s+1\.2\.3\.4:9376/);
  });

  test.each<{ why: string; args: string; input?: string; err: string }>([
    { why: 'what is not there', args: 'get svc nope', err: 'Error from server (NotFound): services "nope" not found' },
    {
      why: 'a node port that is taken',
      args: 'create service nodeport np --tcp=80:80 --node-port=30123',
      err: 'provided port is already allocated',
    },
    {
      why: 'a node port out of range',
      args: 'create service nodeport np --tcp=80:80 --node-port=80',
      err: 'The range of valid ports is 30000-32767',
    },
    {
      why: 'a name that is taken',
      args: 'create ns default',
      err: 'Error from server (AlreadyExists): namespaces "default" already exists',
    },
    {
      why: 'a field that is misspelt',
      args: 'apply -f -',
      input: loadBalancer.replace('selector:', 'slector:'),
      err: 'unknown field "spec.slector"',
    },
    {
      why: 'a headless LoadBalancer',
      args: 'create -f -',
      input: loadBalancer
        .replace('kubia-loadbalancer', 'bad')
        .replace('type: LoadBalancer', "type: LoadBalancer\n  clusterIP: 'None'")
        .replace(', nodePort: 30123', ''),
      err: "may not be set to 'None' for LoadBalancer services",
    },
  ])('$why is told', async ({ args, input, err }) => {
    const result = await kubectl(args, input);
    expect(result.code).toBe(1);
    expect(result.err).toContain(err);
  });

  test('get --watch follows', async () => {
    const watching = kubectl('get svc --watch --request-timeout=4s');
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // until kubectl has listed; nothing tells when it has
    await say('create service clusterip seen --tcp=80:80');
    await say('delete svc seen');
    expect((await watching).out.split('\n').filter((line) => line.startsWith('seen')).length).toBeGreaterThanOrEqual(2);
  });

  test('delete waits for finalizers', async () => {
    await say(`patch svc kubia-loadbalancer -p '{"metadata":{"finalizers":["a.io/cleanup"]}}'`);
    const deleting = kubectl('delete svc kubia-loadbalancer --timeout=20s');
    const ref = { resource: 'services', namespace: 'default', name: 'kubia-loadbalancer' };
    await until('the Service to be marked', () => kube.objects.get(ref)?.metadata.deletionTimestamp);
    expect(await say('get svc kubia-loadbalancer -o jsonpath={.metadata.finalizers[0]}')).toBe('a.io/cleanup');
    await say(`patch svc kubia-loadbalancer -p '{"metadata":{"$deleteFromPrimitiveList/finalizers":["a.io/cleanup"]}}'`);
    expect(await deleting).toMatchObject({ code: 0, out: expect.stringContaining('deleted') });
    expect(kube.objects.get(ref)).toBeUndefined();
  });

  test('delete a namespace with what is in it', async () => {
    expect(await say('delete ns study')).toContain('deleted');
    expect((await kubectl('get ns study')).err).toContain('NotFound');
  });

  test('about the cluster: version, api-resources, explain, auth, cluster-info', async () => {
    const version = await kubectl('version');
    expect(version).toMatchObject({ code: 0, out: expect.stringContaining('Server Version: v1.36.3') });
    expect(version.err).toMatch(/^(WARNING: version difference between client [^\n]*\n)?$/); // of a kubectl of E2E_KUBERNETES=1.33
    expect(await say('api-resources')).toMatch(/services\s+svc\s+v1\s+true\s+Service/);
    expect(await say('explain svc.spec.ports.nodePort')).toContain('FIELD: nodePort <integer>');
    expect(await say('auth can-i create services')).toBe('yes\n');
    expect(await say('cluster-info')).toContain(kube.url);
    expect((await kubectl('get leases -A')).err).toBe('No resources found\n');
  });
});
