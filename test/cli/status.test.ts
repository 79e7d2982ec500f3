import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { call } from './call.ts';
import { rawNode, rawService } from './objects.ts';
import { type SmallKube, startSmallKube } from './small-kube.ts';

jest.setTimeout(120_000); // on a machine that may be busy

let kube: SmallKube;
beforeAll(async () => {
  kube = await startSmallKube();
  kube.put('nodes', rawNode('n1', '10.0.0.1'));
  kube.put('nodes', rawNode('n2', '10.0.0.2'));
  kube.put('nodes', rawNode('n3', '10.0.0.3', { labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': '' } }));
  kube.put(
    'services',
    rawService('shop', 'web', {
      held: true,
      spec: { loadBalancerClass: 'nodeport-lb.io/lb' },
      annotations: { 'nodeport-lb.io/served-ports': '80/TCP=49153' },
      ingress: [{ ip: '127.0.0.32', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] }],
      condition: { status: 'True', reason: 'Ready', message: 'Serving on 127.0.0.32.' },
    }),
  );
  kube.put(
    'services',
    rawService('shop', 'sick', {
      held: true,
      annotations: { 'nodeport-lb.io/targets': '1/2', 'nodeport-lb.io/drain-secons': '5' },
      ingress: [{ ip: '127.0.0.33' }],
      condition: { status: 'True', reason: 'Degraded', message: '1 of 2 targets is unhealthy: n2 (refused).' },
    }),
  );
  kube.put(
    'services',
    rawService('study', 'pending', { condition: { status: 'False', reason: 'PoolExhausted', message: 'No address is left.' } }),
  );
  kube.put('services', rawService('study', 'theirs', { spec: { loadBalancerClass: 'example.com/lb' } }));
  kube.put('services', rawService('study', 'unseen'));
  kube.put('services', rawService('study', 'plain', { type: 'ClusterIP' }));
  kube.put(
    'services',
    rawService('study', 'alias', {
      type: 'ExternalName',
      spec: { externalName: 'example.com', clusterIP: '', clusterIPs: [], selector: null, ports: [] },
    }),
  );
  kube.put('services', rawService('study', 'headless', { spec: { clusterIP: 'None', clusterIPs: ['None'] } }));
  kube.put('services', rawService('study', 'by-hand', { type: 'NodePort', spec: { selector: null } }));
  kube.put('endpointslices', {
    metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
    endpoints: [{ conditions: { ready: true } }, { conditions: { ready: false } }],
  });
});
afterAll(() => kube.close());

async function status(...args: string[]) {
  const called = call(['status', ...args, '--kubeconfig', kube.kubeconfig]);
  const code = await called.ended;
  return { code, stderr: called.stderr(), stdout: called.stdout().replace(/\d+d(?=\s|$)/gm, '9d') };
}

describe('status', () => {
  test('is a table of the Services that ask for a balancer', async () => {
    expect(await status()).toEqual({
      code: 0,
      stderr: '',
      stdout: `\
NAMESPACE  NAME      CLASS              EXTERNAL-IP  TARGETS  REASON         AGE
shop       sick      <none>             127.0.0.33   1/2      Degraded       9d
shop       web       nodeport-lb.io/lb  127.0.0.32   2/2      Ready          9d
study      headless  <none>             <pending>    -        Unseen         9d
study      pending   <none>             <pending>    -        PoolExhausted  9d
study      theirs    example.com/lb     <pending>    -        NotOurs        9d
study      unseen    <none>             <pending>    -        Unseen         9d
`,
    });
  });

  test('in a terminal of 64 columns it is cut where that hurts least', async () => {
    const called = call(['status', '-n', 'shop', '--kubeconfig', kube.kubeconfig], 64);
    await called.ended;
    for (const line of called.stdout().split('\n')) expect(line.length).toBeLessThanOrEqual(64);
    expect(called.stdout()).toMatch(/web +nodeport… +127\.0\.0\.32 +2\/2 +Ready/);
  });

  test('-n looks in one namespace, and says so when there is nothing', async () => {
    expect((await status('-n', 'shop', '-o', 'name')).stdout).toBe('service/sick\nservice/web\n');
    expect(await status('-n', 'empty')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'No Services of type LoadBalancer found in namespace empty.\n',
    });
  });

  test('-o wide shows where each port is served', async () => {
    expect((await status('-o', 'wide')).stdout).toMatch(
      /web .* local +80->49153:30123\/TCP +<unknown> +<unknown> +Serving on 127\.0\.0\.32\.\n/,
    );
  });

  test('-o json and -o yaml have the same content, and the fields that scripts rely on', async () => {
    const json = JSON.parse((await status('-o', 'json')).stdout);
    expect(parse((await status('-o', 'yaml')).stdout)).toEqual(json);
    expect(json.version).toBe(1);
    expect(json.services[0]).toMatchObject({
      namespace: 'shop',
      name: 'sick',
      class: '',
      provider: 'local',
      balancer: 'shop/sick',
      addresses: ['127.0.0.33'],
      targets: { healthy: 1, total: 2 },
      reason: 'Degraded',
      message: '1 of 2 targets is unhealthy: n2 (refused).',
      since: '2026-01-01T00:01:00Z',
    });
  });

  test('-o json of none is an empty list', async () => {
    expect(JSON.parse((await status('-n', 'empty', '-o', 'json')).stdout)).toEqual({ version: 1, services: [] });
  });
});

describe('one Service', () => {
  test('is told in words', async () => {
    const { code, stdout } = await status('shop/web');
    expect(code).toBe(0);
    expect(stdout).toMatch(/Targets: 2 of 2 healthy\n[\s\S]*Endpoints\n {2}1 ready, 1 not ready/);
  });

  test("a bare name is looked up in the context's namespace", async () => {
    expect((await status('web')).stdout).toMatch(/^shop\/web\n/);
    expect((await status('-n', 'study', 'pending')).stdout).toMatch(/^study\/pending\n/);
  });

  test('one that is not there, and one that cannot be', async () => {
    await expect(status('shop/nope')).rejects.toThrow(/"nope" not found/);
    await expect(status('a/b/c')).rejects.toThrow('"a/b/c": must be NAMESPACE/NAME');
  });
});

describe('--watch', () => {
  test('shows what there is, then a line for each change, and ends with 0', async () => {
    const running = call(['status', '--watch', '-n', 'live', '--kubeconfig', kube.kubeconfig]);
    kube.put('services', rawService('live', 'a'));
    await running.said(/live +a +<none> +<pending> +- +Unseen/);
    const condition = { status: 'True', reason: 'Ready', message: '' };
    kube.put('services', rawService('live', 'a', { held: true, ingress: [{ ip: '127.0.0.40' }], condition }));
    await running.said(/live +a +<none> +127\.0\.0\.40 +2\/2 +Ready/);
    kube.remove('services', 'live', 'a');
    await running.said(/live +a .* Deleted/);
    running.interrupt();
    expect(await running.ended).toBe(0);
    expect(running.stderr()).toBe('');
    expect(running.stdout().match(/NAMESPACE/g)).toHaveLength(1);
  });
});

test('nothing of this has written anything', () => expect(kube.writes).toEqual([]));
