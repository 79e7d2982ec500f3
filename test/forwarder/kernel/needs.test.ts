import { beforeEach, expect, test } from '@jest/globals';
import { Needs } from '../../../src/forwarder/kernel/needs.ts';
import type { Machine } from '../../../src/forwarder/paths.ts';
import type { RuleNode } from '../../../src/forwarder/rules.ts';
import { Nodes } from '../../../src/forwarder/targets.ts';

const here: Machine = { own: new Set(['10.0.0.1']), forwards: new Set([4]) };
let nodes: Nodes;
let needs: Needs;

/** @returns the sets whose rules are looked at after this */
function after(machine: Machine, ...all: RuleNode[]): readonly string[] {
  for (const node of all) nodes.put(node.id, node);
  const ids = [...nodes.all()].map(({ id }) => id);
  nodes.resolveSets(new Map([['all', ids]]));
  return [...needs.moved(['all'], nodes, machine)];
}

const node = (id: string, ...addresses: string[]): RuleNode => ({ id, addresses });

beforeEach(() => {
  nodes = new Nodes();
  needs = new Needs();
  after(here, node('a', '10.0.0.2'));
});

test('one more node like the others changes nothing', () => {
  expect(after(here, node('b', '10.0.0.3'))).toEqual([]);
  expect(after({ own: new Set(here.own), forwards: new Set(here.forwards) }, node('c', '10.0.0.4'))).toEqual([]);
});

test.each<[string, Machine, RuleNode]>([
  ['the only node is this machine', here, node('a', '10.0.0.1')],
  ['a family comes', here, node('a', '10.0.0.2', 'fd00::2')],
  ['a node gets a port of its own', here, { ...node('a', '10.0.0.2'), port: 8_080 }],
  ['another address is this machine’s', { ...here, own: new Set(['10.0.0.1', '10.0.0.9']) }, node('a', '10.0.0.2')],
  ['forwarding is switched off', { ...here, forwards: new Set() }, node('a', '10.0.0.2')],
])('rules are looked at when %s, and when that is over', (_, machine, changed) => {
  expect(after(machine, changed)).toEqual(['all']);
  expect(after(here, node('a', '10.0.0.2'))).toEqual(['all']);
  expect(after(here, node('b', '10.0.0.3'))).toEqual([]);
});

test('rules of a set that is no more are looked at once', () => {
  expect([...needs.moved([], nodes, here)]).toEqual(['all']);
  expect([...needs.moved([], nodes, here)]).toEqual([]);
});
