import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AwsUnderTest } from '../../contracts/aws/stage.ts';
import { FINALIZER, marksOf, type ServiceObject } from '../lab/product.ts';
import { until } from '../lab/until.ts';
import { type Change, changes } from './changes.ts';
import { type Expected, keyOf } from './expected.ts';
import { AWS, SETTLE_MS, type ServiceWish, Site, STEADY, serviceManifest } from './site.ts';
import { awsStrain } from './strain.ts';
import { tellStrict } from './strict.ts';
import { tellWeights } from './weights.ts';

export interface LifeOptions {
  readonly start: () => Promise<AwsUnderTest>;
  /** Ids of what this emulator does otherwise than AWS (moto-deviations.ts); the contract suite tests that it still does. */
  readonly deviations?: readonly string[];
  /** Also churn, crashes, throttling, an outage and many Services at once. */
  readonly strain: boolean;
  /** For which AWS is away at least; default: until Services say so. */
  readonly outageMs?: number;
}

/**
 * A real control plane, an AWS end and the controller, each a process of its own, driven by the real kubectl. Whatever happened, the
 * account must hold just what the Services need.
 */
export function awsLife(name: string, { start, deviations = [], strain, outageMs = 0 }: LifeOptions): void {
  describe(`the AWS provider over ${name}`, () => {
    let site: Site;
    beforeAll(async () => {
      site = await Site.open(start);
      await site.addNodes(site.ground.instances.slice(0, STEADY));
      site.startController();
    }, 300_000);
    afterAll(() => site?.close(), 60_000);

    describe('a life', () => tellLife(() => site));
    describe('changes', () => tellChanges(() => site, new Set(deviations)));
    describe('shares by weight', () => tellWeights(() => site, new Set(deviations)));
    describe('what only a strict AWS shows', () => tellStrict(() => site, new Set(deviations)));
    if (strain) awsStrain(() => site, outageMs);

    test('nothing of ours is left, and the controller never ended by itself', async () => {
      await site.holds([]);
      expect(site.controller?.alive).toBe(true);
      expect(await site.controller?.stop(30_000)).toEqual({ code: 0, signal: null });
    });
  });
}

function tellLife(site: () => Site): void {
  const namespace = 'life';
  const targets = () => site().ground.instances.slice(0, STEADY);

  test('created: EXTERNAL-IP is the hostname of an NLB that holds every node, and events say so', async () => {
    await site().namespace(namespace);
    await site().apply(serviceManifest(namespace, 'web'));
    await site().ready(namespace, 'web');
    const service = await site().service(namespace, 'web');
    await site().holds([{ service, targets: targets() }]);
    const [entry] = (await site().books()).balancers;
    expect(service.status.loadBalancer.ingress).toMatchObject([{ hostname: entry?.dnsName.toLowerCase() }]);
    expect(service.metadata.finalizers).toContain(FINALIZER);
    expect(await site().kubectl(['-n', namespace, 'get', 'service', 'web'])).toContain(entry?.dnsName.toLowerCase());
    const events = await site().events(namespace, 'web');
    expect(events.map(({ reason }) => reason)).toEqual(expect.arrayContaining(['EnsuringLoadBalancer', 'EnsuredLoadBalancer']));
  });

  test('an annotation that means nothing to us writes nothing at AWS', async () => {
    site().door.forget();
    await site().kubectl(['-n', namespace, 'annotate', 'service', 'web', 'example.org/note=1']);
    await site().apply(serviceManifest(namespace, 'other'));
    await site().ready(namespace, 'other'); // whatever the note would have caused has been done by now
    expect(site().door.counts()).toMatchObject({ CreateLoadBalancer: 1, CreateTargetGroup: 1, RegisterTargets: 1 });
    await site().kubectl(['-n', namespace, 'delete', 'service', 'other']);
  });

  test('another scheme: the new NLB stands and is published before the old one goes', async () => {
    const before = await site().service(namespace, 'web');
    const old = before.status.loadBalancer.ingress?.[0]?.hostname;
    const annotate = (...pairs: string[]) =>
      site().kubectl(['-n', namespace, 'annotate', '--overwrite', 'service', 'web', ...pairs]);
    await annotate('nodeport-lb.io/drain-seconds=600', `${AWS}scheme=internal`);
    const published = new Set<string | undefined>();
    const service = await until(
      async () => {
        const now = await site().service(namespace, 'web');
        const hostname = now.status.loadBalancer.ingress?.[0]?.hostname;
        published.add(hostname);
        return hostname === old ? undefined : now;
      },
      { withinMs: SETTLE_MS, what: 'the successor is published', everyMs: 100 },
    );
    expect(published).not.toContain(undefined);
    const both = (await site().books()).balancers;
    expect(both.map(({ scheme }) => scheme).sort()).toEqual(['internal', 'internet-facing']);
    for (const { listeners } of both) expect(listeners.map((one) => one.targets.length)).toEqual([STEADY]);
    await annotate('nodeport-lb.io/drain-seconds=1');
    await site().holds([{ service, targets: targets(), scheme: 'internal' }]);
  });

  test('a change that would tear a hole is refused, and made when the Service consents', async () => {
    await site().apply(serviceManifest(namespace, 'named', { annotations: { [`${AWS}name`]: 'by-name' } }));
    await site().ready(namespace, 'named');
    const annotate = (pair: string) => site().kubectl(['-n', namespace, 'annotate', 'service', 'named', pair]);
    await annotate(`${AWS}scheme=internal`);
    await site().refused(namespace, 'named', 'DisruptionNotAllowed');
    const web = { service: await site().service(namespace, 'web'), targets: targets(), scheme: 'internal' } as const;
    const named = { service: await site().service(namespace, 'named'), targets: targets() };
    await site().holds([web, named]);
    await annotate('nodeport-lb.io/allow-disruption=true');
    await site().holds([web, { ...named, scheme: 'internal' }]);
    await site().ready(namespace, 'named');
  });

  test('what cannot be is refused by name, and what exists stays', async () => {
    const annotate = (pair: string) => site().kubectl(['-n', namespace, 'annotate', '--overwrite', 'service', 'named', pair]);
    await annotate(`${AWS}subnets=subnet-0123456789abcdef0`);
    const message = await site().refused(namespace, 'named', 'AwsResourceUnknown');
    expect(message).toContain('subnet-0123456789abcdef0');
    const named = { service: await site().service(namespace, 'named'), targets: targets(), scheme: 'internal' } as const;
    const web = { service: await site().service(namespace, 'web'), targets: targets(), scheme: 'internal' } as const;
    await site().holds([web, named]);
    await site().kubectl(['-n', namespace, 'annotate', 'service', 'named', `${AWS}subnets-`]);
    await site().ready(namespace, 'named');
  });

  test('another type: its NLB goes, and nothing of ours stays on the Service', async () => {
    await site().kubectl(['-n', namespace, 'patch', 'service', 'named', '--type=merge', '-p', '{"spec":{"type":"NodePort"}}']);
    await until(async () => marksOf(await site().service(namespace, 'named')).length === 0, {
      withinMs: SETTLE_MS,
      what: 'nothing of ours is on it',
    });
    await site().holds([{ service: await site().service(namespace, 'web'), targets: targets(), scheme: 'internal' }]);
  });

  test('deleted: the Service is gone, and so is everything in the account', async () => {
    await site().kubectl(['-n', namespace, 'delete', 'service', 'web', '--timeout=120s']);
    await site().holds([]);
  });
}

/** All Services at once, since most of the time is AWS's own; then one change after the other. */
function tellChanges(site: () => Site, deviations: ReadonlySet<string>): void {
  const namespace = 'changes';
  const possible = changes.filter(({ needs }) => needs === undefined || !deviations.has(needs));
  const targets = () => site().ground.instances.slice(0, STEADY);
  /** What the account shall hold of each, as far as it has been changed. */
  const expected = new Map<string, Expected>();

  async function record(change: Change, more: Partial<Expected>): Promise<void> {
    const service = await site().service(namespace, change.name);
    expected.set(change.name, { service, targets: targets(), ...more });
  }

  beforeAll(async () => {
    await site().namespace(namespace);
    const wishes = possible.map(({ name, from }): [string, ServiceWish] => [name, from?.(site().ground) ?? {}]);
    await site().apply(...wishes.map(([name, wish]) => serviceManifest(namespace, name, wish)));
    await site().ready(namespace, '--all');
    const services = new Map((await site().services(namespace)).map((one) => [one.metadata.name, one]));
    for (const { name, holdsBefore } of possible) {
      const service = services.get(name) as ServiceObject;
      expected.set(name, { service, targets: targets(), ...holdsBefore?.(site().ground) });
    }
    await site().holds([...expected.values()]);
  }, 300_000);

  test.each(possible)('$what', async (change) => {
    const { name, annotate, spec, holds, sees } = change;
    if (annotate) {
      const pairs = Object.entries(annotate(site().ground)).map(([key, value]) => `${key}=${value}`);
      await site().kubectl(['-n', namespace, 'annotate', '--overwrite', 'service', name, ...pairs]);
    }
    if (spec) await site().kubectl(['-n', namespace, 'patch', 'service', name, '--type=merge', '-p', JSON.stringify({ spec })]);
    await record(change, holds?.(site().ground) ?? {});
    await site().holdsFor(expected.get(name)!);
    if (!sees) return;
    const key = keyOf(expected.get(name)!.service);
    await until(
      async () => {
        const entry = (await site().books()).balancers.find((one) => one.key === key);
        if (!entry) throw new Error(`there is no NLB of ${key}`);
        await sees(site(), entry);
        return true;
      },
      { withinMs: SETTLE_MS, what: `${name}: ${change.what}`, everyMs: 250 },
    );
  });

  const impossible = changes.filter((change) => !possible.includes(change));
  if (impossible.length > 0) {
    test.each(impossible)('not here, for the emulator is otherwise ($needs): $what', ({ needs }) => {
      expect(deviations).toContain(needs);
    });
  }

  test('all are Ready in the end, and are deleted with their namespace', async () => {
    await site().ready(namespace, '--all');
    await site().holds([...expected.values()]);
    await site().kubectl(['delete', 'namespace', namespace, '--timeout=180s']);
    await site().holds([]);
  });
}
