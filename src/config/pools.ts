import { type AddressRange, overlaps, readRange } from './addresses.ts';
import { readBoolean, readDnsLabel, readName } from './annotation-values.ts';
import type { PoolConfig } from './config.ts';
import { type Fault, type Kind, readLabelMap, splitItems } from './kinds.ts';
import { suggest } from './nearest.ts';

/** Pools are walked from their first address on and never listed, so only their number and that of their entries is limited. */
const MAX_POOLS = 100;
const MAX_ENTRIES = 1000;
const MAX_PRIORITY = 1000;

const FORMS = 'a CIDR (10.0.0.0/28), a range (10.0.0.5-10.0.0.9) or an address';

/**
 * Pools of the local provider. A flag or a part of the variable (between semicolons) is one pool with entries between commas;
 * the file gives the same texts, or objects.
 */
export const poolsKind: Kind<readonly PoolConfig[]> = {
  type: 'pools',
  metavar: 'CIDR|RANGE',
  allowed: `${FORMS}, several of them with commas between; at most ${MAX_POOLS} pools with ${MAX_ENTRIES} entries each`,
  shape: 'list',
  read(raw, fault) {
    const items = Array.isArray(raw)
      ? raw
      : typeof raw === 'string'
        ? raw.split(';').filter((part) => part.trim() !== '')
        : [raw];
    if (items.length === 0 || items.length > MAX_POOLS) {
      fault(`must be ${poolsKind.allowed}`);
      return undefined;
    }
    const pools = items.map((item, index) => readPool(item, index, withPlace(fault, items.length > 1 ? `[${index}]` : '')));
    if (!pools.every((pool) => pool !== undefined)) return undefined;
    return judgeTogether(pools, fault) ? pools : undefined;
  },
};

/** The name that a pool has when it was given none. */
export function poolName(index: number): string {
  return `pool-${index + 1}`;
}

function withPlace(fault: Fault, place: string): Fault {
  return (message, part) => fault(message, { ...part, inside: `${place}${part?.inside ?? ''}` });
}

function readPool(raw: unknown, index: number, fault: Fault): PoolConfig | undefined {
  const name = poolName(index);
  const simple = { name, namespaces: [], serviceSelector: {}, priority: 0, autoAssign: true, sharePorts: false };
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    const addresses = readEntries(raw, fault);
    return addresses && { ...simple, addresses };
  }
  return readPoolObject(raw, simple, fault);
}

type Field<T> = (raw: unknown, fault: Fault) => T | undefined;

const fields: { readonly [K in keyof PoolConfig]: Field<PoolConfig[K]> } = {
  name: (raw, fault) =>
    (typeof raw === 'string' ? readName(raw) : undefined) ?? refuse(fault, 'must be a name of at most 63 letters and digits'),
  addresses: readEntries,
  namespaces(raw, fault) {
    const names = splitItems(raw);
    return names?.every(readDnsLabel) ? names : refuse(fault, 'must be a list of namespaces');
  },
  serviceSelector: readLabelMap,
  priority: (raw, fault) =>
    typeof raw === 'number' && Number.isInteger(raw) && Math.abs(raw) <= MAX_PRIORITY
      ? raw
      : refuse(fault, `must be a whole number from -${MAX_PRIORITY} to ${MAX_PRIORITY}; lower is tried first`),
  autoAssign: readFlag,
  sharePorts: readFlag,
};

function readFlag(raw: unknown, fault: Fault): boolean | undefined {
  return (
    (typeof raw === 'boolean' ? raw : typeof raw === 'string' ? readBoolean(raw) : undefined) ??
    refuse(fault, 'must be true or false')
  );
}

function refuse(fault: Fault, message: string): undefined {
  fault(message);
  return undefined;
}

function readPoolObject(raw: object, base: Omit<PoolConfig, 'addresses'>, fault: Fault): PoolConfig | undefined {
  const pool: Record<string, unknown> = { ...base };
  let sound = true;
  for (const [key, value] of Object.entries(raw)) {
    const place = { value, inside: `.${key}` };
    if (!Object.hasOwn(fields, key)) {
      fault(`is not a key of a pool${suggest(key, Object.keys(fields))}`, place);
      sound = false;
      continue;
    }
    const field = fields[key as keyof PoolConfig] as Field<unknown>;
    pool[key] = field(value, (message, part) =>
      fault(message, { ...place, ...part, inside: place.inside + (part?.inside ?? '') }),
    );
    sound &&= pool[key] !== undefined;
  }
  if (pool['addresses'] === undefined && sound) refuse(fault, `needs addresses: ${FORMS}`);
  return sound && pool['addresses'] !== undefined ? (pool as unknown as PoolConfig) : undefined;
}

function readEntries(raw: unknown, fault: Fault): readonly string[] | undefined {
  const entries = splitItems(raw);
  if (!entries || entries.length === 0 || entries.length > MAX_ENTRIES) {
    return refuse(fault, entries?.length === 0 ? `is empty; write ${FORMS}` : `must be ${FORMS}, at most ${MAX_ENTRIES} of them`);
  }
  const bad = entries.map((entry) => [entry, readRange(entry)] as const).filter(([, range]) => typeof range === 'string');
  for (const [value, message] of bad) fault(`${message}; allowed: ${FORMS}`, { value });
  return bad.length === 0 ? entries : undefined;
}

/** Names are unique, and no address is in two pools: else one address could be given out twice. */
function judgeTogether(pools: readonly PoolConfig[], fault: Fault): boolean {
  let sound = true;
  const byName = new Set<string>();
  const seen: { readonly pool: string; readonly entry: string; readonly range: AddressRange }[] = [];
  for (const pool of pools) {
    if (byName.has(pool.name)) sound = say(fault, pool.name, 'is the name of two pools');
    byName.add(pool.name);
    for (const entry of pool.addresses) {
      const range = readRange(entry) as AddressRange;
      const other = seen.find((one) => overlaps(one.range, range));
      if (other) sound = say(fault, entry, `of ${pool.name} overlaps ${other.entry} of ${other.pool}`);
      seen.push({ pool: pool.name, entry, range });
    }
  }
  return sound;
}

function say(fault: Fault, value: string, message: string): false {
  fault(message, { value });
  return false;
}
