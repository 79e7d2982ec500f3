import { describe, expect, test } from '@jest/globals';
import { CONDITION, type ServiceObject } from '../lab/product.ts';
import { until } from '../lab/until.ts';
import type { Expected } from './expected.ts';
import { SETTLE_MS, type Site, STEADY, serviceManifest } from './site.ts';
import { expectShares, forward, TCP_80 } from './weights.ts';

const COMING = 50;
const MANY = 100;
const THROTTLED = 0.3;
/** A minute's outage, the minute that a pass may wait by then, and what it takes to make and to drop. */
const OUTAGE_TEST_MS = 360_000;
/** Connections that are tried while AWS is away: the SDK's own repeats, and two Services that wait longer and longer. */
const MOST_TRIES = 1_000;

/** What a cluster and an account do to the controller on bad days. @param outageMs for which AWS is away at least */
export function awsStrain(site: () => Site, outageMs: number): void {
  describe('nodes come and go', () => tellChurn(site));
  describe('the controller is killed', () => tellCrashes(site));
  describe('AWS refuses', () => tellRefusals(site, outageMs));
  describe('many Services at once', () => tellMany(site));
}

function steady(site: Site): readonly string[] {
  return site.ground.instances.slice(0, STEADY);
}

async function all(site: Site, namespace: string, targets: readonly string[]): Promise<readonly Expected[]> {
  return (await site.services(namespace)).map((service) => ({ service, targets }));
}

async function make(site: Site, namespace: string, names: readonly string[]): Promise<void> {
  await site.apply(...names.map((name) => serviceManifest(namespace, name)));
}

async function drop(site: Site, namespace: string): Promise<void> {
  await site.kubectl(['-n', namespace, 'delete', 'service', '--all', '--timeout=240s']);
  await site.holds([]);
}

function tellChurn(site: () => Site): void {
  const namespace = 'churn';

  test(`${COMING} nodes join, half of them leave while others come, and all leave`, async () => {
    const { instances } = site().ground;
    await site().namespace(namespace);
    await make(site(), namespace, ['one', 'two', 'three']);
    await site().ready(namespace, '--all');
    const coming = instances.slice(STEADY, STEADY + COMING);
    await site().addNodes(coming);
    await site().holds(await all(site(), namespace, [...steady(site()), ...coming]));
    const [leaving, staying] = [coming.slice(0, COMING / 2), coming.slice(COMING / 2)];
    const late = instances.slice(STEADY + COMING);
    await Promise.all([site().removeNodes(leaving), site().addNodes(late)]);
    await site().holds(await all(site(), namespace, [...steady(site()), ...staying, ...late]));
    await site().removeNodes([...staying, ...late]);
    await site().holds(await all(site(), namespace, steady(site())));
    await site().ready(namespace, '--all');
    await drop(site(), namespace);
  });
}

/**
 * Kills the controller when AWS has acted on such a call and it does not know, and its successor at the next one. The Service whose
 * call it was has the later ones still before it, so each of them comes.
 */
async function killInTurn(site: Site, actions: readonly string[], act: () => Promise<unknown>): Promise<void> {
  for (const [turn, action] of actions.entries()) {
    site.door.keep({ action });
    if (turn === 0) await act();
    else site.startController();
    await until(() => site.door.kept > 0, { withinMs: SETTLE_MS, what: `AWS has acted on ${action}` });
    await site.controller?.kill();
  }
  site.door.keep(undefined);
  site.startController();
}

function tellCrashes(site: () => Site): void {
  const namespace = 'crash';

  test('four times in the middle of making three: all are served, and nothing is left over', async () => {
    await site().namespace(namespace);
    await killInTurn(site(), ['CreateSecurityGroup', 'CreateTargetGroup', 'CreateLoadBalancer', 'CreateListener'], () =>
      make(site(), namespace, ['one', 'two', 'three']),
    );
    await site().ready(namespace, '--all');
    await site().holds(await all(site(), namespace, steady(site())));
  });

  test('three times in the middle of a deletion: it is ended by the next one, and the others stay', async () => {
    await killInTurn(site(), ['DeleteLoadBalancer', 'DeleteTargetGroup', 'DeleteSecurityGroup'], () =>
      site().kubectl(['-n', namespace, 'delete', 'service', 'one', '--wait=false']),
    );
    await site().kubectl(['-n', namespace, 'wait', '--for=delete', 'service/one', '--timeout=120s']);
    await site().holds(await all(site(), namespace, steady(site())));
    await drop(site(), namespace);
  });

  test('five times in the middle of giving another Service a share, and twice in the middle of taking it back', async () => {
    const apart = await site().namespace('crash-weights');
    const annotate = (pair: string) => site().kubectl(['-n', apart, 'annotate', '--overwrite', 'service', 'web', pair]);
    await site().apply(serviceManifest(apart, 'canary', { spec: { type: 'NodePort' } }), serviceManifest(apart, 'web'));
    await site().ready(apart, 'web');
    await killInTurn(site(), ['CreateTargetGroup', 'RegisterTargets', 'CreateListener', 'ModifyListener', 'DeleteListener'], () =>
      annotate(`${TCP_80}=${forward(90, { canary: 10 })}`),
    );
    await site().ready(apart, 'web');
    await site().holds([await expectShares(site(), apart, { web: 90, canary: 10 })]);
    await killInTurn(site(), ['ModifyListener', 'DeleteTargetGroup'], () => annotate(`${TCP_80}-`));
    await site().ready(apart, 'web');
    await site().holds([await expectShares(site(), apart, { web: 1 })]);
    await drop(site(), apart);
  });
}

function tellRefusals(site: () => Site, outageMs: number): void {
  test('three of ten calls are throttled: nothing fails, and nothing is told twice', async () => {
    const namespace = await site().namespace('throttled');
    site().door.throttle(THROTTLED);
    await make(site(), namespace, ['one', 'two', 'three']);
    await site().ready(namespace, '--all');
    const patch = JSON.stringify({ spec: { ports: [{ name: 'http', port: 8080 }] } });
    await site().kubectl(['-n', namespace, 'patch', 'service', 'one', '--type=merge', '-p', patch]);
    await site().kubectl(['-n', namespace, 'delete', 'service', 'two']);
    await site().holds(await all(site(), namespace, steady(site())));
    expect(site().door.throttled).toBeGreaterThan(5);
    const told = (await site().events(namespace, 'one')).filter(({ type }) => type === 'Warning');
    expect(told).toEqual([]);
    site().door.throttle(0);
    await drop(site(), namespace);
  });

  test(
    'nobody is there for a while: Services are told, and afterwards all is as it shall be',
    async () => {
      const namespace = await site().namespace('outage');
      await make(site(), namespace, ['stays', 'goes']);
      await site().ready(namespace, '--all');
      site().door.lock();
      const lockedAt = performance.now();
      await make(site(), namespace, ['comes']);
      await site().kubectl(['-n', namespace, 'delete', 'service', 'goes', '--wait=false']);
      const told = await until(
        async () => conditionOf(await site().service(namespace, 'comes'))?.message.match(/connect|socket|ECONN/i)?.input,
        { withinMs: SETTLE_MS, what: 'the Service says that AWS cannot be reached', everyMs: 250 },
      );
      expect(told).toMatch(/(elasticloadbalancing|ec2):\w+/); // the call is named
      expect((await site().service(namespace, 'goes')).metadata.deletionTimestamp).toBeDefined();
      const everyMs = 1_000;
      const isOver = async () => {
        expect(conditionOf(await site().service(namespace, 'stays'))?.status).toBe('True');
        return performance.now() - lockedAt >= outageMs;
      };
      await until(isOver, { withinMs: outageMs + SETTLE_MS, what: 'the outage is over', everyMs });
      expect(site().controller?.alive).toBe(true);
      expect(site().door.turnedAway).toBeLessThan(MOST_TRIES);
      site().door.unlock();
      await site().ready(namespace, 'comes');
      await site().kubectl(['-n', namespace, 'wait', '--for=delete', 'service/goes', '--timeout=120s']);
      await site().holds(await all(site(), namespace, steady(site())));
      await drop(site(), namespace);
    },
    OUTAGE_TEST_MS,
  );
}

function tellMany(site: () => Site): void {
  const namespace = 'many';

  test(`${MANY} Services come at once, a node joins all of them and leaves, and they go at once`, async () => {
    const names = Array.from({ length: MANY }, (_, at) => `web-${at}`);
    const [late = ''] = site().ground.instances.slice(STEADY);
    await site().namespace(namespace);
    await make(site(), namespace, names);
    await site().ready(namespace, '--all', 240_000);
    await site().holds(await all(site(), namespace, steady(site())));
    await site().addNodes([late]);
    await site().holds(await all(site(), namespace, [...steady(site()), late]));
    await site().removeNodes([late]);
    await drop(site(), namespace);
  }, 600_000); // longer than the waits in it, on a busy machine
}

function conditionOf({ status }: ServiceObject) {
  return status.conditions?.find(({ type }) => type === CONDITION);
}
