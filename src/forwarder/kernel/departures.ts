import { parseEndpoint } from '../problems.ts';
import type { RuleNode } from '../rules.ts';
import type { Revision, RulesTable } from '../table.ts';
import { canonical } from './plan.ts';

/** Pure. Addresses that some node set or node no longer has, though connections may still be with them. */
export function departed(before: RulesTable, after: RulesTable, revision: Revision): ReadonlySet<string> {
  const gone = new Set<string>();
  for (const name of revision.nodeSets) {
    const stay = new Set(after.nodeSets.get(name));
    for (const id of before.nodeSets.get(name) ?? [])
      if (!stay.has(id)) for (const one of placesOf(before.nodes.get(id))) gone.add(one);
  }
  for (const id of revision.nodes) {
    const stay = new Set(placesOf(after.nodes.get(id)));
    for (const one of placesOf(before.nodes.get(id))) if (!stay.has(one)) gone.add(one);
  }
  return gone;
}

function placesOf(node: RuleNode | undefined): readonly string[] {
  const mapped = Object.values(node?.portMap ?? {}).flatMap((to) => parseEndpoint(to)?.address ?? []);
  return [...(node?.addresses ?? []), ...mapped].map(canonical);
}
