import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { at } from '../../src/kube/objects.ts';
import { land } from '../../src/sandbox/demo/ask.ts';
import { until } from '../../src/sandbox/demo/story.ts';
import { type RunningDemo, startDemo } from '../sandbox/running-demo.ts';
import { run } from './lab/command.ts';
import { prepareTools } from './tools.ts';

/** What a person does with the cluster that the demo keeps, with the real kubectl; discovery, OpenAPI and tables included. */
let demo: RunningDemo;
let tool: string;
let kubeconfig: string;

async function kubectl(words: string, input?: string): Promise<string> {
  const args = [`--kubeconfig=${kubeconfig}`, ...words.split(' ')];
  return (await run(tool, args, input === undefined ? {} : { input })).stdout;
}

beforeAll(async () => {
  tool = (await prepareTools(() => undefined)).kubectl;
  demo = startDemo(['--keep']);
  kubeconfig = await demo.says(/export KUBECONFIG=(\S+)/);
});

afterAll(async () => {
  await demo.end();
});

describe('kubectl at the cluster that the demo keeps', () => {
  test('creates and exposes a Deployment, which gets an external IP that answers', async () => {
    expect(await kubectl('create deployment web --image=x --replicas=3 --port=8080')).toContain('created');
    expect(await kubectl('expose deployment web --type=LoadBalancer --port=80 --target-port=8080')).toContain('exposed');
    await kubectl('rollout status deployment web --timeout=10s');
    await kubectl('wait --for=jsonpath={.status.loadBalancer.ingress} service/web --timeout=10s');
    const ip = await kubectl('get service web -o jsonpath={.status.loadBalancer.ingress[0].ip}');
    const landing = await until(() => land(ip, 80).catch(() => undefined), 5_000);
    expect(landing?.pod).toMatch(/^web-/);
    expect(await kubectl('get svc web')).toMatch(new RegExp(`^web +LoadBalancer +\\S+ +${ip} +80:3\\d{4}/TCP +\\d+s$`, 'm'));
  });

  test('shows what happened', async () => {
    expect(await kubectl('describe svc web')).toMatch(/Normal +EnsuredLoadBalancer .*nodeport-lb +Serving on/);
    expect(await kubectl('get endpoints web')).toMatch(/^web +10\.244\.\d+\.\d+:8080,/m);
    expect(await kubectl('get events')).toMatch(/Normal +EnsuredLoadBalancer +service\/web/);
    expect(await kubectl('get nodes -o wide')).toMatch(/^worker-2 +Ready .* 127\.0\.\d+\.2 /m);
    expect(await kubectl('get pods -A')).toMatch(/^default +web-\S+ +1\/1 +Running +0 /m);
  });

  test('applies, labels and patches', async () => {
    const manifest = `
apiVersion: v1
kind: Service
metadata: { name: own }
spec: { ports: [{ port: 80, targetPort: 8080 }], selector: { app: web } }
`;
    expect(await kubectl('apply -f -', manifest)).toContain('service/own created');
    expect(await kubectl('apply -f -', manifest)).toContain('service/own unchanged');
    const changed = manifest.replace('port: 80', 'port: 81');
    expect(await kubectl('apply -f -', changed)).toContain('service/own configured');
    expect(await kubectl('apply --server-side -f -', changed)).toContain('service/own serverside-applied');
    await kubectl('label svc own tier=front');
    await kubectl('patch svc own -p {"spec":{"type":"NodePort"}}');
    const found: unknown = JSON.parse(await kubectl('get svc -l tier=front -o json'));
    expect(at(found, 'items')).toMatchObject([{ metadata: { name: 'own' }, spec: { type: 'NodePort', ports: [{ port: 81 }] } }]);
  });

  test('rolls a new template out, and deletes', async () => {
    await kubectl('set image deployment/web x=y');
    await kubectl('rollout status deployment web --timeout=10s');
    await kubectl('scale deployment web --replicas=1');
    await kubectl('delete service/web service/own deployment/web --timeout=10s');
    const gone = await until(async () => ((await kubectl('get pods -l app=web')) === '' ? true : undefined), 10_000);
    expect(gone).toBe(true);
  });
});
