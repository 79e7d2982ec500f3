import { beforeEach, expect, test } from '@jest/globals';
import type { Ground } from '../../../src/forwarder/ground.ts';
import { Health } from '../../../src/forwarder/health.ts';
import { Aims } from '../../../src/forwarder/kernel/aims.ts';
import { Crowd } from '../../../src/forwarder/kernel/crowd.ts';
import type { Kernel } from '../../../src/forwarder/kernel/kernel.ts';
import { KernelListener } from '../../../src/forwarder/kernel/listener.ts';
import { Reports } from '../../../src/forwarder/reports.ts';
import type { RuleListener } from '../../../src/forwarder/rules.ts';
import { Nodes } from '../../../src/forwarder/targets.ts';
import type { Wiring } from '../../../src/forwarder/wire.ts';
import { listener } from '../builders.ts';

let health: Health;
let touched: KernelListener[];
let crowd: Crowd;

beforeEach(() => {
  touched = [];
  crowd = new Crowd();
});

/** Of a kernel path with one node, which has its rules or is still to be given them. */
function stage(isLoaded: boolean): (part?: Partial<RuleListener>) => KernelListener {
  const nodes = new Nodes();
  nodes.put('a', { id: 'a', addresses: ['10.0.0.2'] });
  nodes.resolveSets(new Map([['all', ['a']]]));
  const reports = new Reports(() => {});
  health = new Health({ nodes, wiring: {} as Wiring, reports, nowMs: () => 0, now: () => 0 });
  health.nodesChanged(['a']);
  health.stop(); // answers are given by the test
  const aims = new Aims();
  const kernel = { aims, crowd, isLoaded, touch: (one: KernelListener) => touched.push(one), remove: () => {} };
  const ground = { health, nodes, reports, nowMs: () => 0 } as unknown as Ground;
  return (part) =>
    new KernelListener(listener({ port: 80, nodePort: 30_080, ...part }), ground, kernel as unknown as Kernel, () => {});
}

const isChecked = (nodePort = 30_080) =>
  [...health.states.keys()].some((node) => health.nodePortCheck(node, nodePort) !== undefined);

test('targets of rules that come before the kernel has any are checked when it has them', () => {
  const made = stage(false)();
  expect(isChecked()).toBe(false);
  made.beginChecks();
  expect(isChecked()).toBe(true);
  expect(touched).toEqual([]);
});

test('targets of a rule that comes later are checked at once', () => {
  stage(true)();
  expect(isChecked()).toBe(true);
});

test('a listener that is closed before its checks begin begins none', () => {
  const made = stage(false)();
  made.close();
  made.beginChecks();
  expect(isChecked()).toBe(false);
});

test('whoever’s check has heard that a target is down is described anew', () => {
  const make = stage(false);
  const [first, second] = [make(), make({ id: 'other', port: 81 })];
  first.beginChecks();
  const [[node]] = health.states as unknown as [[Parameters<Health['targetHeard']>[1]]];
  const check = health.nodePortCheck(node, 30_080)!;
  for (let i = 0; i < 20; i++) health.targetHeard(check, node, 'refused');
  second.beginChecks();
  expect(touched).toEqual([second]);
});

test('one that alone has its targets stands apart, and is with the others again when they are the same', () => {
  const make = stage(true);
  const [first, second] = [make(), make({ id: 'other', port: 81, nodePort: 30_081 })];
  const groups = () => [first, second].map((one) => one.describe(new Set()).group);
  expect(new Set(groups()).size).toBe(1);
  expect(crowd.asked()).toEqual([first]);
  const [[node]] = health.states as unknown as [[Parameters<Health['targetHeard']>[1]]];
  const check = health.nodePortCheck(node, 30_081)!;
  for (let i = 0; i < 20; i++) health.targetHeard(check, node, 'refused');
  expect(new Set(groups()).size).toBe(2);
  expect(crowd.asked()).toEqual([first, second]);
  for (let i = 0; i < 20; i++) health.targetHeard(check, node, 'accepted');
  expect(new Set(groups()).size).toBe(1);
  expect(crowd.asked()).toEqual([first]);
});

test.each<[string, Partial<RuleListener>]>([
  ['UDP, whose flows are looked at one listener at a time', { protocol: 'UDP', idleMs: 1_000 }],
  ['policy Local', { localOnly: true }],
])('%s: stands apart', (_, part) => {
  const made = stage(true)(part);
  made.describe(new Set());
  expect(made.peers).toBeUndefined();
  expect(crowd.asked()).toEqual([made]);
});
