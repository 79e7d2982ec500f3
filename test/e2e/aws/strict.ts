import { beforeAll, expect, test } from '@jest/globals';
import { until } from '../lab/until.ts';
import { balancerAttributes } from './books.ts';
import { keyOf } from './expected.ts';
import { AWS, SETTLE_MS, type Site, STEADY, serviceManifest } from './site.ts';

const PROTECTION = 'deletion_protection.enabled';

/** What no emulator but the strict one can show; the others say why not. */
export function tellStrict(site: () => Site, deviations: ReadonlySet<string>): void {
  const namespace = 'strict';
  const targets = () => site().ground.instances.slice(0, STEADY);
  const strictTest = (title: string, needs: string, run: () => Promise<void>) => {
    if (deviations.has(needs))
      test(`not here, for the emulator is otherwise (${needs}): ${title}`, () => expect(needs).toBeDefined());
    else test(title, run);
  };

  beforeAll(async () => {
    await site().namespace(namespace);
  });

  strictTest('another nodePort: at no moment are the targets gone', 'targets-by-id', async () => {
    await site().apply(serviceManifest(namespace, 'moved'));
    await site().ready(namespace, 'moved');
    const before = await site().service(namespace, 'moved');
    const [entry] = (await site().books()).balancers.filter(({ key }) => key === keyOf(before));
    const TargetGroupArn = entry?.listeners[0]?.group.TargetGroupArn;
    if (TargetGroupArn === undefined) throw new Error('there is no target group');
    let fewest = Number.POSITIVE_INFINITY;
    const watch = async () => {
      const { TargetHealthDescriptions } = await site().elb.describeTargetHealth({ TargetGroupArn });
      const healthy = (TargetHealthDescriptions ?? []).filter(({ TargetHealth }) => TargetHealth?.State === 'healthy');
      fewest = Math.min(fewest, healthy.length);
      return healthy.length === STEADY && healthy.every(({ Target }) => Target?.Port === 31_234);
    };
    const ports = JSON.stringify({ spec: { ports: [{ name: 'http', port: 80, nodePort: 31_234 }] } });
    await watch();
    await site().kubectl(['-n', namespace, 'patch', 'service', 'moved', '--type=merge', '-p', ports]);
    await until(watch, { withinMs: SETTLE_MS, what: 'all targets have the new nodePort' });
    expect(fewest).toBe(STEADY);
    await site().holds([{ service: await site().service(namespace, 'moved'), targets: targets() }]);
    await site().kubectl(['-n', namespace, 'delete', 'service', 'moved']);
  });

  strictTest(
    'a protected NLB stays until its Service, which is being deleted, asks for the protection to go',
    'protection-ignored',
    async () => {
      await site().apply(serviceManifest(namespace, 'safe', { annotations: { [`${AWS}attributes`]: `${PROTECTION}=true` } }));
      await site().ready(namespace, 'safe');
      const service = await site().service(namespace, 'safe');
      const [entry] = (await site().books()).balancers.filter(({ key }) => key === keyOf(service));
      const LoadBalancerArn = entry?.arn ?? '';
      expect(await balancerAttributes(site().elb, LoadBalancerArn)).toMatchObject({ [PROTECTION]: 'true' });
      await site().kubectl(['-n', namespace, 'delete', 'service', 'safe', '--wait=false']);
      await site().refused(namespace, 'safe', 'DeletionProtected');
      await site().holdsFor({ service, targets: targets() });
      await site().kubectl([
        '-n',
        namespace,
        'annotate',
        '--overwrite',
        'service',
        'safe',
        `${AWS}attributes=${PROTECTION}=false`,
      ]);
      await site().kubectl(['-n', namespace, 'wait', '--for=delete', 'service/safe', '--timeout=120s']);
      await site().holds([]);
    },
  );

  strictTest(
    'targets of others stay in a shared target group, and keep its NLB when the Service goes',
    'targets-by-id',
    async () => {
      const annotations = { [`${AWS}multi-cluster-target-group`]: 'true' };
      await site().apply(serviceManifest(namespace, 'shared', { annotations }));
      await site().ready(namespace, 'shared');
      const service = await site().service(namespace, 'shared');
      const [entry] = (await site().books()).balancers.filter(({ key }) => key === keyOf(service));
      const TargetGroupArn = entry?.listeners[0]?.group.TargetGroupArn;
      const theirs = site().ground.instances[STEADY];
      if (TargetGroupArn === undefined || theirs === undefined)
        throw new Error('there is no target group, or no instance to spare');
      const Targets = [{ Id: theirs, Port: 32_000 }];
      await site().elb.registerTargets({ TargetGroupArn, Targets });
      await site().kubectl(['-n', namespace, 'delete', 'service', 'shared', '--wait=false']);
      expect(await site().refused(namespace, 'shared', 'TargetsOfOthers')).toContain(`${theirs}:32000`);
      const { TargetHealthDescriptions = [] } = await site().elb.describeTargetHealth({ TargetGroupArn });
      const serving = TargetHealthDescriptions.filter(({ TargetHealth }) => TargetHealth?.State !== 'draining');
      expect(serving.map(({ Target }) => Target?.Id)).toEqual([theirs]);
      await site().elb.deregisterTargets({ TargetGroupArn, Targets });
      await site().kubectl(['-n', namespace, 'wait', '--for=delete', 'service/shared', '--timeout=180s']);
      await site().holds([]);
    },
  );
}
