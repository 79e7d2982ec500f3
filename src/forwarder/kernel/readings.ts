import { parseCounted } from './counted.ts';
import type { Reading } from './listener.ts';
import type { Nft } from './nft.ts';
import type { Entry } from './plan.ts';
import { countingMap, type RulesetOptions } from './ruleset.ts';

/** Elements that one command asks for. */
const ASKED_AT_ONCE = 500;

/** What the kernel has counted since the last load, for each listener, by key. */
export async function readAll(nft: Nft, { table, countBytes }: RulesetOptions): Promise<(key: string) => Reading> {
  const read = async (kind: 'map' | 'set', name: string) => {
    const texts: string[] = [];
    for (const family of [4, 6]) texts.push((await nft.list('list', kind, 'inet', table, `${name}${family}`)) ?? '');
    return parseCounted(texts.join('\n'));
  };
  const targets = await read('map', 'targets');
  const ports = await read('map', 'ports');
  const refused = await read('set', 'refused');
  const up = countBytes ? await read('set', 'up') : undefined;
  const down = countBytes ? await read('set', 'down') : undefined;
  return (key) => ({
    connections: (targets.get(key) ?? ports.get(key))?.packets ?? 0,
    refused: refused.get(key)?.packets ?? 0,
    bytesFromClients: up?.get(key)?.bytes ?? 0,
    bytesToClients: down?.get(key)?.bytes ?? 0,
  });
}

/** Connections of some listeners alone. */
export async function readConnections(nft: Nft, table: string, entries: readonly Entry[]): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const [map, keys] of Map.groupBy(entries, countingMap)) {
    for (let i = 0; i < keys.length; i += ASKED_AT_ONCE) {
      const part = keys.slice(i, i + ASKED_AT_ONCE).map(({ rule }) => rule.key);
      const text = await nft.list('get', 'element', 'inet', table, map, `{ ${part.join(', ')} }`);
      for (const [key, { packets }] of parseCounted(text ?? '')) found.set(key, packets);
    }
  }
  return found;
}
