import { expect, test } from '@jest/globals';
import type { LocalConfig } from '../../../src/config/config.ts';
import { UsageError } from '../../../src/errors.ts';
import { LocalOnes, refuseUndelivered } from '../../../src/providers/local/delivery.ts';
import { readOptions } from '../../../src/providers/local/options.ts';
import { type Observed, planSteps } from '../../../src/providers/local/plan.ts';
import { reportObserved } from '../../../src/providers/local/report.ts';
import { renderListeners, toRule } from '../../../src/providers/local/rules.ts';
import { refuseUncarried, withDefaults } from '../../../src/providers/local/wish.ts';
import { type BalancerWish, balancer, pool, refusalOf } from '../builders.ts';

const ADDRESS = '10.9.0.1';

/** What is observed when agents serve the balancer, and kube-proxy delivers. */
function observe(wish: BalancerWish, delivery?: 'kube-proxy'): Observed {
  const held = withDefaults(balancer(wish), [ADDRESS]);
  const listeners = renderListeners(held, { portFallback: false, ...(delivery ? { delivery } : {}) });
  const states = listeners.map((listener) => {
    const { address, port } = listener;
    return { listener, nodes: held.nodes, state: { state: 'listening', address, port } as const };
  });
  return { key: held.key, at: 1, addresses: [ADDRESS], listeners: states, closing: [], targets: [] };
}

test('only what kube-proxy delivers is published as VIP: it would take from a forwarder what comes for such an address', () => {
  expect(reportObserved(observe({}, 'kube-proxy')).addresses).toEqual([{ ip: ADDRESS, ipMode: 'VIP' }]);
  expect(reportObserved(observe({})).addresses).toEqual([{ ip: ADDRESS, ipMode: 'Proxy' }]);
});

test('a plan says who delivers', () => {
  const nothing = { ...observe({}), addresses: [], listeners: [] };
  const wanted = withDefaults(balancer(), [ADDRESS]);
  const options = { portFallback: false, delivery: 'kube-proxy' } as const;
  const summaries = (steps: readonly { readonly summary: string }[]) => steps.map(({ summary }) => summary);
  expect(summaries(planSteps(wanted, nothing, options))).toEqual(['have kube-proxy of 1 node deliver TCP 10.9.0.1:80']);
  expect(summaries(planSteps(undefined, observe({}, 'kube-proxy'), options))).toEqual([
    'have kube-proxy deliver TCP 10.9.0.1:80 no more',
    'give back 10.9.0.1',
  ]);
});

test('kube-proxy carries SCTP too', () => {
  const ports = [{ port: 3868, protocol: 'SCTP' as const }];
  refuseUncarried(balancer({ ports }), undefined);
  const observed = observe({ ports }, 'kube-proxy');
  expect(reportObserved(observed).listeners).toEqual([{ uid: 'uid-default-web', protocol: 'SCTP', port: 3868 }]);
  expect(toRule(observed.listeners[0]!.listener, 's')).toMatchObject({ protocol: 'SCTP', nodeSet: 's' });
  expect(toRule(observed.listeners[0]!.listener, 's')).not.toHaveProperty('delivery');
});

test('settings that have no effect are told, once a Service', () => {
  const ports = [{ port: 80 }, { port: 443 }, { port: 53, protocol: 'UDP' as const }];
  const settings = { idleTimeoutSeconds: 60, drainSeconds: 5, retry: true };
  const { notes, listeners } = reportObserved(observe({ ports, settings }, 'kube-proxy'));
  expect(notes).toEqual([
    { code: 'NotSupported', message: expect.stringMatching(/idle-timeout-seconds of default\/web has no effect/) },
    { code: 'NotSupported', message: expect.stringMatching(/drain-seconds of default\/web has no effect/) },
    { code: 'NotSupported', message: expect.stringMatching(/retry of default\/web has no effect/) },
  ]);
  expect(listeners.every(({ error }) => error === undefined)).toBe(true);
  expect(reportObserved(observe({ ports }, 'kube-proxy')).notes).toBeUndefined();
  expect(reportObserved(observe({ ports, settings })).notes).toBeUndefined();
});

test('the PROXY protocol is refused: the address would be served without it', () => {
  const wish = balancer({ settings: { proxyProtocol: 'v1' } });
  expect(refusalOf(() => refuseUndelivered(wish))).toMatchObject({
    code: 'NotSupported',
    message: expect.stringMatching(/PROXY protocol.*kube-proxy/),
  });
});

test('one Service of a share group may be under policy Local, beside others that are not', () => {
  const local = (name: string, localOnly: boolean) => balancer({ name, ports: [{ port: name.length, localOnly }] });
  const group = (...members: readonly ReturnType<typeof balancer>[]) => ({
    ...members[0]!,
    listeners: members.flatMap(({ listeners }) => listeners),
  });
  refuseUndelivered(group(local('a', true), local('bb', false)));
  const two = group(local('a', true), local('bb', true));
  expect(refusalOf(() => refuseUndelivered(two))).toMatchObject({
    code: 'NotSupported',
    message: expect.stringMatching(/^2 Services .* Local/),
  });
});

test('at an address that Services share by port one may be under policy Local; the next is woken when it goes', () => {
  const ones = new LocalOnes();
  const under = (name: string, localOnly: boolean) => balancer({ name, ports: [{ port: 80, localOnly }] });
  expect(ones.enter(under('web', true), [ADDRESS])).toEqual([]);
  expect(ones.enter(under('web', true), [ADDRESS])).toEqual([]);
  expect(ones.enter(under('api', false), [ADDRESS])).toEqual([]);
  expect(ones.enter(under('far', true), ['10.9.0.2'])).toEqual([]);
  expect(refusalOf(() => ones.enter(under('late', true), [ADDRESS]))).toMatchObject({
    code: 'AddressInUse',
    message: expect.stringContaining('default/web'),
  });
  expect(ones.enter(under('web', false), [ADDRESS])).toEqual(['default/late']);
  expect(ones.enter(under('late', true), [ADDRESS])).toEqual([]);
  expect(ones.leave('default/late')).toEqual([]);
});

test('agents need pools for it, and every port its own number', () => {
  const options: Partial<LocalConfig> = { forwarder: 'agents', datapath: 'kube-proxy', pools: [pool('p', ['10.9.0.0/24'])] };
  expect(readOptions(options, true)).toMatchObject({ forwarder: 'agents', delivery: 'kube-proxy' });
  const bad = { ...options, pools: [], portFallback: true };
  expect(() => readOptions(bad, true)).toThrow(UsageError);
  expect(() => readOptions(bad, true)).toThrow(/--local-pool: .*whatever runs on the node.*\n--local-port-fallback: /);
  expect(readOptions({ ...options, datapath: 'auto' }, true)).not.toHaveProperty('delivery');
});
