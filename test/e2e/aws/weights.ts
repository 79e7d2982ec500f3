import { beforeAll, describe, expect, test } from '@jest/globals';
import { ACTIONS } from '../../../src/config/weights.ts';
import { until } from '../lab/until.ts';
import type { Expected, ExpectedShare } from './expected.ts';
import { SETTLE_MS, type ServiceWish, type Site, STEADY, serviceManifest } from './site.ts';

export const TCP_80 = `${ACTIONS}TCP-80`;

/** The annotation's JSON: the Service's own weight, and those of others by name, at their port 80. */
export function forward(weight: unknown, others: Readonly<Record<string, unknown>>): string {
  const targetGroups = Object.entries(others).map(([serviceName, share]) => ({ serviceName, servicePort: 80, weight: share }));
  return JSON.stringify({ type: 'forward', forwardConfig: { baseServiceWeight: weight, targetGroups } });
}

/** What the account shall hold of the first of these Services, whose port 80 the others get a share of. */
export async function expectShares(site: Site, namespace: string, weights: Readonly<Record<string, number>>): Promise<Expected> {
  const named = await Promise.all(
    Object.entries(weights).map(async ([name, weight]) => ({ weight, service: await site.service(namespace, name) })),
  );
  const shares = named.map(
    ({ weight, service }): ExpectedShare => ({ weight, nodePort: service.spec.ports?.[0]?.nodePort ?? 0 }),
  );
  const targets = site.ground.instances.slice(0, STEADY);
  return { service: named[0]!.service, targets, ...(shares.length > 1 ? { shares: { 80: shares } } : {}) };
}

interface BadInput {
  readonly name: string;
  readonly annotation: string;
  readonly value: string;
  readonly says: RegExp;
  readonly ports?: ServiceWish['ports'];
}

const badInputs: readonly BadInput[] = [
  { name: 'word', annotation: TCP_80, value: forward(90, { green: 'ten' }), says: /targetGroups\[0\]\.weight.*0 to 999/ },
  { name: 'much', annotation: TCP_80, value: forward(1_000, { green: 10 }), says: /baseServiceWeight.*0 to 999/ },
  { name: 'zero', annotation: TCP_80, value: forward(0, { green: 0 }), says: /the sum of the weights must be at least 1/ },
  { name: 'nobody', annotation: TCP_80, value: forward(90, { nowhere: 10 }), says: /there is no Service weights\/nowhere/ },
  {
    name: 'six',
    annotation: TCP_80,
    value: forward(1, { a: 1, b: 1, c: 1, d: 1, e: 1 }),
    says: /targetGroups.*at most 4, beside the Service's own/,
  },
  { name: 'lacks', annotation: `${ACTIONS}TCP-81`, value: forward(90, { green: 10 }), says: /no port 81\/TCP \(it has 80\/TCP/ },
  { name: 'udp', annotation: `${ACTIONS}UDP-80`, value: forward(90, { green: 10 }), says: /no port 80\/UDP \(it has 80\/TCP/ },
  {
    name: 'other-lacks',
    annotation: `${ACTIONS}UDP-80`,
    value: forward(90, { green: 10 }),
    says: /Service weights\/green has no port 80\/UDP \(it has 80\/TCP/,
    ports: [{ name: 'log', port: 80, protocol: 'UDP' }],
  },
  { name: 'no-json', annotation: TCP_80, value: 'green=10', says: /must be JSON/ },
];

/** One Service whose port 80 gives others a share, from its beginning to its end; beside it one that nothing of this concerns. */
export function tellWeights(site: () => Site, deviations: ReadonlySet<string>): void {
  const namespace = 'weights';
  const targets = () => site().ground.instances.slice(0, STEADY);

  const expected = (weight: number, others: Readonly<Record<string, number>>) =>
    expectShares(site(), namespace, { web: weight, ...others });

  async function plain(): Promise<Expected> {
    return { service: await site().service(namespace, 'plain'), targets: targets() };
  }

  const annotate = (pair: string) => site().kubectl(['-n', namespace, 'annotate', '--overwrite', 'service', 'web', pair]);

  /** Target groups that get a share by this call though not all of their targets are healthy. */
  async function groupsWithoutHealth(parameters: URLSearchParams): Promise<readonly string[]> {
    const faults: string[] = [];
    for (const [name, arn] of parameters) {
      const [, place] = /^(DefaultActions\..*TargetGroups\.member\.\d+)\.TargetGroupArn$/.exec(name) ?? [];
      if (place === undefined || parameters.get(`${place}.Weight`) === '0') continue;
      const { TargetHealthDescriptions = [] } = await site().elb.describeTargetHealth({ TargetGroupArn: arn });
      const healthy = TargetHealthDescriptions.filter(({ TargetHealth }) => TargetHealth?.State === 'healthy');
      if (healthy.length < STEADY) faults.push(`${arn} has ${healthy.length} healthy targets`);
    }
    return faults;
  }

  beforeAll(async () => {
    await site().namespace(namespace);
    const others = ['canary', 'green'].map((name) => serviceManifest(namespace, name, { spec: { type: 'NodePort' } }));
    await site().apply(...others, serviceManifest(namespace, 'plain'));
    await site().ready(namespace, 'plain');
  });

  test('created: connections are shared out among every node’s NodePorts of both Services', async () => {
    await site().apply(serviceManifest(namespace, 'web', { annotations: { [TCP_80]: forward(90, { canary: 10 }) } }));
    await site().ready(namespace, 'web');
    await site().holds([await plain(), await expected(90, { canary: 10 })]);
  });

  test('other weights are one call in place', async () => {
    site().door.forget();
    await annotate(`${TCP_80}=${forward(50, { canary: 150 })}`);
    await site().holds([await plain(), await expected(50, { canary: 150 })]);
    const { ModifyListener, CreateListener, CreateTargetGroup, RegisterTargets } = site().door.counts();
    expect({ ModifyListener, CreateListener, CreateTargetGroup, RegisterTargets }).toEqual({ ModifyListener: 1 });
    await site().ready(namespace, 'web');
  });

  test('a Service more gets its share when its targets are healthy', async () => {
    const faults: string[] = [];
    const look = async (parameters: URLSearchParams): Promise<void> => {
      faults.push(...(await groupsWithoutHealth(parameters).catch((thrown: unknown) => [String(thrown)])));
    };
    site().door.watch({ action: 'ModifyListener', look });
    await annotate(`${TCP_80}=${forward(50, { canary: 150, green: 100 })}`);
    await site().holds([await plain(), await expected(50, { canary: 150, green: 100 })]);
    site().door.watch(undefined);
    expect(faults).toEqual([]);
    await site().ready(namespace, 'web');
  });

  const another = 'another nodePort of the other Service is followed in place';
  const needs = 'targets-by-id';
  if (deviations.has(needs))
    test(`not here, for the emulator is otherwise (${needs}): ${another}`, () => expect(deviations).toContain(needs));
  else
    test(another, async () => {
      site().door.forget();
      const ports = JSON.stringify({ spec: { ports: [{ name: 'http', port: 80, nodePort: 31_777 }] } });
      await site().kubectl(['-n', namespace, 'patch', 'service', 'canary', '--type=merge', '-p', ports]);
      await site().holds([await plain(), await expected(50, { canary: 150, green: 100 })]);
      expect(site().door.counts()).not.toHaveProperty('ModifyListener');
    });

  test('the other Service goes: it is said, all stays as it is and follows the nodes, until the annotation is without it', async () => {
    const before = await expected(50, { canary: 150, green: 100 });
    const [late = ''] = site().ground.instances.slice(STEADY);
    await site().kubectl(['-n', namespace, 'delete', 'service', 'green']);
    expect(await site().refused(namespace, 'web', 'AnnotationInvalid')).toMatch(/there is no Service weights\/green/);
    await site().holds([await plain(), before]);
    await site().addNodes([late]);
    const more = [...targets(), late];
    await site().holds([
      { ...(await plain()), targets: more },
      { ...before, targets: more },
    ]);
    await site().removeNodes([late]);
    await annotate(`${TCP_80}=${forward(50, { canary: 150 })}`);
    await site().ready(namespace, 'web');
    await site().holds([await plain(), await expected(50, { canary: 150 })]);
  });

  const warningsOf = async (name: string) => (await site().events(namespace, name)).filter(({ type }) => type === 'Warning');

  describe('what cannot be', () => {
    beforeAll(async () => {
      await site().apply(serviceManifest(namespace, 'green', { spec: { type: 'NodePort' } }));
      const wishes = badInputs.map(({ name, annotation, value, ports }): object =>
        serviceManifest(namespace, name, { annotations: { [annotation]: value }, ...(ports ? { ports } : {}) }),
      );
      await site().apply(...wishes);
    });

    test.each(badInputs)('is told once, in the condition and in an event: $name', async ({ name, says }) => {
      expect(await site().refused(namespace, name, 'AnnotationInvalid')).toMatch(says);
      const told = await until(async () => (await warningsOf(name))[0], { withinMs: SETTLE_MS, what: `${name} has an event` });
      expect(told).toMatchObject({ reason: 'SyncLoadBalancerFailed', message: expect.stringMatching(says) });
    });

    test('and nothing is made of them, nor changed of others', async () => {
      await site().holds([await plain(), await expected(50, { canary: 150 })]);
      for (const { name } of badInputs) expect(await warningsOf(name)).toHaveLength(1);
      await site().kubectl(['-n', namespace, 'delete', 'service', ...badInputs.map(({ name }) => name)]);
    });
  });

  test('without the annotation all goes to its own again, and nothing of the shares is left', async () => {
    await annotate(`${TCP_80}-`);
    await site().ready(namespace, 'web');
    await site().holds([await plain(), await expected(1, {})]);
  });

  test('deleted with its shares: nothing is left', async () => {
    await annotate(`${TCP_80}=${forward(1, { canary: 1, green: 1 })}`);
    await site().holds([await plain(), await expected(1, { canary: 1, green: 1 })]);
    await site().kubectl(['delete', 'namespace', namespace, '--timeout=180s']);
    await site().holds([]);
  });
}
