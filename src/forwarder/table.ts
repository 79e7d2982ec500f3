import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { patch } from './patched.ts';
import { RULES_VERSION, type RuleListener, type RuleNode, type Rules, type RulesChange, RulesError } from './rules.ts';

/** The rules in force, by id. Never changed in place. */
export interface RulesTable {
  readonly generation: number;
  readonly nodes: ReadonlyMap<string, RuleNode>;
  readonly nodeSets: ReadonlyMap<string, readonly string[]>;
  readonly listeners: ReadonlyMap<string, RuleListener>;
  readonly exclusive: readonly string[];
}

/** Ids that were added, changed or removed. */
export interface Revision {
  readonly nodes: ReadonlySet<string>;
  readonly nodeSets: ReadonlySet<string>;
  readonly listeners: ReadonlySet<string>;
}

/** Before the first rules. No `RulesChange` builds on it: generations start at 0. */
export const emptyTable: RulesTable = {
  generation: -1,
  nodes: new Map(),
  nodeSets: new Map(),
  listeners: new Map(),
  exclusive: [],
};

/**
 * Pure. What is in force after `next`, and which ids differ from before.
 * @throws {RulesError} for an unknown version, another base than the generation in force, or something that is no such document
 */
export function revise(before: RulesTable, next: Rules | RulesChange): { table: RulesTable; revision: Revision } {
  demandDocument(next);
  return 'base' in next ? change(before, next) : replace(before, next);
}

/** The document that leads to this table from nothing. */
export function wholeRules(table: RulesTable): Rules {
  return {
    version: RULES_VERSION,
    generation: table.generation,
    nodes: [...table.nodes.values()],
    nodeSets: Object.fromEntries(table.nodeSets),
    listeners: [...table.listeners.values()],
    ...(table.exclusive.length === 0 ? {} : { exclusive: table.exclusive }),
  };
}

function replace(before: RulesTable, next: Rules): { table: RulesTable; revision: Revision } {
  const table = {
    generation: next.generation,
    nodes: byId(next.nodes),
    nodeSets: new Map(Object.entries(next.nodeSets)),
    listeners: byId(next.listeners),
    exclusive: next.exclusive ?? [],
  };
  const revision = {
    nodes: differing(before.nodes, table.nodes),
    nodeSets: differing(before.nodeSets, table.nodeSets),
    listeners: differing(before.listeners, table.listeners),
  };
  return { table, revision };
}

function byId<T extends { readonly id: string }>(entries: readonly T[]): ReadonlyMap<string, T> {
  const map = new Map<string, T>();
  for (const entry of entries) map.set(entry.id, entry);
  return map;
}

function change(before: RulesTable, next: RulesChange): { table: RulesTable; revision: Revision } {
  if (next.base !== before.generation) {
    throw new RulesError('WrongBase', `rules change is based on generation ${next.base}, but ${before.generation} is in force`);
  }
  const table = {
    generation: next.generation,
    nodes: patched(before.nodes, next.nodes),
    nodeSets: patched(before.nodeSets, next.nodeSets),
    listeners: patched(before.listeners, next.listeners),
    exclusive: next.exclusive ?? before.exclusive,
  };
  const revision = {
    nodes: differing(before.nodes, table.nodes, Object.keys(next.nodes)),
    nodeSets: differing(before.nodeSets, table.nodeSets, Object.keys(next.nodeSets)),
    listeners: differing(before.listeners, table.listeners, Object.keys(next.listeners)),
  };
  return { table, revision };
}

function patched<T extends {}>(
  before: ReadonlyMap<string, T>,
  changes: Readonly<Record<string, T | null>>,
): ReadonlyMap<string, T> {
  return patch(before, new Map(Object.entries(changes).map(([id, value]) => [id, value ?? undefined])));
}

function differing<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  ids: Iterable<string> = new Set([...before.keys(), ...after.keys()]),
): Set<string> {
  if (before.size === 0) return new Set(after.keys());
  const found = new Set<string>();
  for (const id of ids) if (!isDeepStrictEqual(before.get(id), after.get(id))) found.add(id);
  return found;
}

function demandDocument(next: unknown): void {
  if (!isRecord(next)) throw new RulesError('Malformed', 'rules must be an object');
  if (next['version'] !== RULES_VERSION) {
    throw new RulesError(
      'UnknownVersion',
      `rules have version ${JSON.stringify(next['version'])}; this forwarder knows ${RULES_VERSION}`,
    );
  }
  const whole = !('base' in next);
  const wrong = [
    ...wrongNumber(next, 'generation'),
    ...(whole ? [] : wrongNumber(next, 'base')),
    ...wrongEntries(next, 'nodes', whole),
    ...wrongEntries(next, 'listeners', whole),
    ...wrongSets(next['nodeSets'], whole),
    ...wrongAddresses(next['exclusive']),
  ];
  if (wrong.length > 0) throw new RulesError('Malformed', `rules are malformed: ${wrong.slice(0, 10).join('; ')}`);
}

function wrongNumber(next: Record<string, unknown>, field: string): string[] {
  return Number.isInteger(next[field]) && Number(next[field]) >= 0 ? [] : [`${field} must be a whole number from 0`];
}

/** Whole rules list their entries, a change keys them by id; either way every entry must carry its id. */
function wrongEntries(next: Record<string, unknown>, field: 'nodes' | 'listeners', whole: boolean): string[] {
  const value = next[field];
  if (whole) {
    if (!Array.isArray(value)) return [`${field} must be a list`];
    const hasId = (entry: unknown) => isRecord(entry) && typeof entry['id'] === 'string';
    if (value.every(hasId)) return [];
    return value.flatMap((entry, i) => (hasId(entry) ? [] : [`${field}[${i}] must have an id`]));
  }
  if (!isRecord(value)) return [`${field} must be an object`];
  return Object.entries(value).flatMap(([id, entry]) =>
    entry === null || (isRecord(entry) && entry['id'] === id) ? [] : [`${field}.${id} must be null or have the same id`],
  );
}

function wrongSets(value: unknown, whole: boolean): string[] {
  if (!isRecord(value)) return ['nodeSets must be an object'];
  return Object.entries(value).flatMap(([name, ids]) =>
    (ids === null && !whole) || (Array.isArray(ids) && ids.every((id) => typeof id === 'string'))
      ? []
      : [`nodeSets.${name} must be a list of node ids`],
  );
}

function wrongAddresses(value: unknown): string[] {
  return value === undefined || (Array.isArray(value) && value.every((address) => isIP(address) !== 0))
    ? []
    : ['exclusive must be a list of IP addresses'];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Pure. `::` also takes IPv4 clients, unless some listener has that port for an IPv4 address. */
export function sharesPortAcrossFamilies(rule: RuleListener, all: Iterable<RuleListener>): boolean {
  if (isIP(rule.address) !== 6) return false;
  for (const other of all)
    if (other.port === rule.port && other.protocol === rule.protocol && isIP(other.address) === 4) return true;
  return false;
}

/** Pure. Whether one socket can go on for both. */
export function isSameSocket(a: RuleListener, b: RuleListener): boolean {
  return a.protocol === b.protocol && a.address === b.address && a.port === b.port;
}
