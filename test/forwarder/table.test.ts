import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  RULES_VERSION,
  type RuleListener,
  type RuleNode,
  type Rules,
  type RulesChange,
  RulesError,
} from '../../src/forwarder/rules.ts';
import { emptyTable, type RulesTable, revise, wholeRules } from '../../src/forwarder/table.ts';
import { listener, rules } from './builders.ts';

const ids = fc.constantFrom('a', 'b', 'c', 'd');
const nodeOf = (id: string) => fc.ipV4().map((address): RuleNode => ({ id, addresses: [address] }));
const listenerOf = (id: string) => fc.nat({ max: 3 }).map((n): RuleListener => listener({ id, nodePort: 30_000 + n }));
const dictionary = <T>(of: (id: string) => fc.Arbitrary<T>) =>
  fc
    .uniqueArray(ids)
    .chain((chosen) => fc.tuple(...chosen.map((id) => of(id).map((value) => [id, value] as const))))
    .map(Object.fromEntries<T>);
const orNull = <T>(of: (id: string) => fc.Arbitrary<T>) => dictionary((id) => fc.option(of(id)));
const sets = () => fc.uniqueArray(ids);

/** What a document says; generation and base are filled in when it is its turn. */
interface Document {
  readonly kind: 'whole' | 'change';
  readonly nodes: Record<string, RuleNode | null>;
  readonly nodeSets: Record<string, readonly string[] | null>;
  readonly listeners: Record<string, RuleListener | null>;
}

const whole: fc.Arbitrary<Document> = fc.record({
  kind: fc.constant('whole' as const),
  nodes: dictionary(nodeOf),
  nodeSets: dictionary(sets),
  listeners: dictionary(listenerOf),
});
const change: fc.Arbitrary<Document> = fc.record({
  kind: fc.constant('change' as const),
  nodes: orNull(nodeOf),
  nodeSets: orNull(sets),
  listeners: orNull(listenerOf),
});

function asRules(document: Document, generation: number): Rules | RulesChange {
  const { kind, nodes, nodeSets, listeners } = document;
  if (kind === 'change') return { version: RULES_VERSION, base: generation - 1, generation, nodes, nodeSets, listeners };
  const list = <T>(of: Record<string, T | null>) => Object.values(of).filter((value) => value !== null);
  return { version: RULES_VERSION, generation, nodes: list(nodes), nodeSets: without(nodeSets), listeners: list(listeners) };
}

/** The same by plain dictionaries: what everybody would expect. */
function expected(sequence: readonly Document[]) {
  let state: Omit<Document, 'kind'> = { nodes: {}, nodeSets: {}, listeners: {} };
  for (const { kind, nodes, nodeSets, listeners } of sequence) {
    if (kind === 'whole') state = { nodes, nodeSets, listeners };
    else {
      state = {
        nodes: without({ ...state.nodes, ...nodes }),
        nodeSets: without({ ...state.nodeSets, ...nodeSets }),
        listeners: without({ ...state.listeners, ...listeners }),
      };
    }
  }
  return state;
}

function without<T>(of: Record<string, T | null>): Record<string, T> {
  return Object.fromEntries(Object.entries(of).flatMap(([id, value]) => (value === null ? [] : [[id, value]])));
}

function plain({ nodes, nodeSets, listeners }: RulesTable) {
  return { nodes: Object.fromEntries(nodes), nodeSets: Object.fromEntries(nodeSets), listeners: Object.fromEntries(listeners) };
}

test('any sequence of rules and changes ends in what the last of each says', () => {
  fc.assert(
    fc.property(whole, fc.array(fc.oneof(whole, change), { maxLength: 8 }), (first, rest) => {
      const sequence = [first, ...rest];
      let table = emptyTable;
      sequence.forEach((document, i) => {
        table = revise(table, asRules(document, i)).table;
      });
      expect(plain(table)).toEqual(expected(sequence));
      expect(plain(revise(emptyTable, wholeRules(table)).table)).toEqual(plain(table));
    }),
  );
});

test('a revision names exactly the ids that differ, and rules that were handed over are never changed', () => {
  fc.assert(
    fc.property(whole, fc.oneof(whole, change), (first, second) => {
      const before = revise(emptyTable, asRules(first, 0)).table;
      const kept = structuredClone(plain(before));
      const { table, revision } = revise(before, asRules(second, 1));
      for (const what of ['nodes', 'nodeSets', 'listeners'] as const) {
        const [old, now]: Record<string, unknown>[] = [kept[what], plain(table)[what]];
        const changed = ['a', 'b', 'c', 'd'].filter((id) => JSON.stringify(old?.[id]) !== JSON.stringify(now?.[id]));
        expect([...revision[what]].sort()).toEqual(changed);
      }
      expect(plain(before)).toEqual(kept);
    }),
  );
});

test.each<{ why: string; document: unknown; code: RulesError['code']; told: string }>([
  { why: 'another version', document: { ...rules(), version: 2 }, code: 'UnknownVersion', told: 'version 2' },
  { why: 'no version', document: {}, code: 'UnknownVersion', told: 'version undefined' },
  {
    why: 'a change on nothing',
    document: { version: 1, base: 0, generation: 1, nodes: {}, nodeSets: {}, listeners: {} },
    code: 'WrongBase',
    told: '-1 is in force',
  },
  { why: 'no object', document: 'rules', code: 'Malformed', told: 'must be an object' },
  { why: 'null', document: null, code: 'Malformed', told: 'must be an object' },
  {
    why: 'no lists',
    document: { version: 1, generation: 1 },
    code: 'Malformed',
    told: 'nodes must be a list; listeners must be a list; nodeSets',
  },
  { why: 'a node without an id', document: { ...rules(), nodes: [{}] }, code: 'Malformed', told: 'nodes[0] must have an id' },
  {
    why: 'a set of no ids',
    document: { ...rules(), nodeSets: { a: [1] } },
    code: 'Malformed',
    told: 'nodeSets.a must be a list',
  },
  { why: 'a generation of its own kind', document: { ...rules(), generation: 1.5 }, code: 'Malformed', told: 'generation' },
])('$why is refused by name', ({ document, code, told }) => {
  const attempt = () => revise(emptyTable, document as Rules);
  expect(attempt).toThrow(RulesError);
  expect(attempt).toThrow(told);
  expect(attempt).toThrow(expect.objectContaining({ code }));
});

test('anything at all is either rules or a RulesError', () => {
  fc.assert(
    fc.property(fc.anything(), (anything) => {
      try {
        revise(emptyTable, anything as Rules);
      } catch (error) {
        expect(error).toBeInstanceOf(RulesError);
      }
    }),
  );
});
