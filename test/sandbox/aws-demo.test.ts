import { readFile } from 'node:fs/promises';
import { ElasticLoadBalancingV2 } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readService } from '../../src/kube/objects.ts';
import { until } from '../../src/sandbox/demo/story.ts';
import { ApiClient } from '../../src/sandbox/nodes/api.ts';
import { type RunningDemo, startDemo } from './running-demo.ts';

const DEMO_MS = 120_000;
const SETTLE_MS = 30_000;
let whole: RunningDemo;
let kept: RunningDemo;

/** Most of both is waiting, so they wait together. */
beforeAll(() => {
  whole = startDemo(['--provider', 'aws']);
  kept = startDemo(['--keep', '--provider', 'aws']);
});

afterAll(async () => {
  await Promise.all([whole.end(), kept.end()]);
});

describe('the demo of AWS', () => {
  test(
    'is true from end to end, and leaves nothing behind',
    async () => {
      expect(await whole.exited).toEqual({ code: 0, told: expect.stringMatching(/All of it was true/) });
      expect(whole.leftovers).toEqual([]);
      const { told } = whole;
      expect(told).toMatch(/^kubia-loadbalancer +LoadBalancer +\S+ +np-\S+\.elb\.eu-west-1\.amazonaws\.com +80:\d+\/TCP$/m);
      expect(told).toMatch(/^ +CreateLoadBalancer +3$/m);
      expect(told).toMatch(/no packet passes an NLB here/);
      expect(told).toMatch(/at no moment were fewer than 3 targets registered/);
      expect(told).toMatch(/requests in all, none failed/);
    },
    DEMO_MS,
  );

  test(
    'that is kept has an AWS for the SDK and serves what comes later, until it is told to stop',
    async () => {
      const file = await kept.says(/export KUBECONFIG=(\S+)/);
      const endpoint = await kept.says(/export AWS_ENDPOINT_URL=(\S+)/);
      const credentials = { accessKeyId: 'demo', secretAccessKey: 'demo' };
      const elb = new ElasticLoadBalancingV2({ endpoint, region: await kept.says(/export AWS_REGION=(\S+)/), credentials });
      const { clusters } = parse(await readFile(file, 'utf8')) as { clusters: [{ cluster: { server: string } }] };
      const api = new ApiClient({ url: clusters[0].cluster.server });
      await api.create('/api/v1/namespaces/default/services', service);
      const hostname = await until(async () => {
        const now = readService(await api.get('/api/v1/namespaces/default/services/web'));
        return now?.ingress[0]?.hostname;
      }, SETTLE_MS);
      const { LoadBalancers } = await elb.describeLoadBalancers({});
      expect(LoadBalancers?.map(({ DNSName }) => DNSName?.toLowerCase())).toContain(hostname);
      expect(LoadBalancers).toHaveLength(4);
      api.close();
      elb.destroy();
      kept.interrupt();
      expect(await kept.exited).toEqual({ code: 0, told: expect.stringMatching(/All of it was true/) });
      expect(kept.leftovers).toEqual([]);
    },
    DEMO_MS,
  );
});

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 8090, targetPort: 8080 }] },
};
