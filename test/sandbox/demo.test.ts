import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { at, list, readService, text } from '../../src/kube/objects.ts';
import { ask } from '../../src/sandbox/demo/ask.ts';
import { until } from '../../src/sandbox/demo/story.ts';
import { ApiClient } from '../../src/sandbox/nodes/api.ts';
import { type RunningDemo, startDemo } from './running-demo.ts';

const DEMO_MS = 120_000;
let demo: RunningDemo;

afterEach(async () => {
  await demo.end();
});

describe('the demo', () => {
  test(
    'is true from end to end, and leaves nothing behind',
    async () => {
      demo = startDemo([]);
      expect(await demo.exited).toEqual({ code: 0, told: expect.stringMatching(/All of it was true/) });
      const told = demo.told;
      expect(demo.leftovers).toEqual([]);
      for (const line of told.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
      expect(told).toMatch(/^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\)$/m);
      expect(told).toMatch(/^kubia-nodeport +NodePort +\S+ +<none> +80:30123\/TCP$/m);
      expect(told).toMatch(/^service-python +LoadBalancer +\S+ +127\.0\.\d+\.\d+ +3000:30080\/TCP$/m);
      expect(told).toMatch(/^tomcat-service +LoadBalancer +\S+ +127\.0\.\d+\.\d+ +30080:30081\/TCP$/m);
      expect(told).toMatch(/^my-service +127\.0\.\d+\.\d+:\d+ +10 +10 +10$/m);
      expect(told).toMatch(/requests in all, none failed/);
      expect(told).toMatch(/NodePortOnly/);
    },
    DEMO_MS,
  );

  test(
    'that is kept serves what comes later, until it is told to stop',
    async () => {
      demo = startDemo(['--keep']);
      const file = await demo.says(/export KUBECONFIG=(\S+)/);
      const { clusters } = parse(await readFile(file, 'utf8')) as { clusters: [{ cluster: { server: string } }] };
      const api = new ApiClient({ url: clusters[0].cluster.server });
      await api.create('/apis/apps/v1/namespaces/default/deployments', deployment);
      await api.create('/api/v1/namespaces/default/services', service);
      const ip = await until(async () => {
        const now = readService(await api.get('/api/v1/namespaces/default/services/web'));
        return now?.ingress[0]?.ip;
      }, 60_000);
      const answer = await until(async () => ask(ip!, 8090).catch(() => undefined), 60_000);
      expect(answer?.body).toMatch(/^You've hit web-/);
      const pods = list(at(await api.get('/api/v1/namespaces/default/pods?labelSelector=app%3Dweb'), 'items'));
      expect(new Set(pods.map((pod) => text(at(at(pod, 'spec'), 'nodeName')))).size).toBe(3);
      api.close();
      demo.interrupt();
      expect((await demo.exited).code).toBe(0);
      expect(existsSync(file)).toBe(false);
      await expect(ask(ip!, 8090)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    },
    DEMO_MS,
  );

  test(
    'that is interrupted ends early with 130 and removes its files',
    async () => {
      demo = startDemo([]);
      await demo.says(/EXTERNAL-IP (\S+)/);
      demo.interrupt();
      expect((await demo.exited).code).toBe(130);
      expect(demo.leftovers).toEqual([]);
    },
    DEMO_MS,
  );

  test(
    'of a provider that it does not know is refused with what is allowed',
    async () => {
      demo = startDemo(['--provider', 'none']);
      expect((await demo.exited).code).toBe(2);
      expect(demo.toldAside).toMatch(/--provider "none": must be local or aws/);
    },
    DEMO_MS,
  );
});

const template = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'x', image: 'x', ports: [{ containerPort: 8080 }] }] },
};
const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template },
};
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 8090, targetPort: 8080 }] },
};
