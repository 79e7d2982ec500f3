import type { RuleNode } from '../../forwarder/rules.ts';
import type { NodeTarget } from '../../model.ts';
import { toRuleNode } from './rules.ts';

interface NodeSet {
  readonly name: string;
  readonly ids: readonly string[];
  /** Listeners that use it. */
  uses: number;
}

/**
 * The sets of nodes that listeners send to, shared by content: a node that comes makes one new set, whatever the number of
 * balancers. The balancers of a cluster share one array of nodes, so nearly every question is answered by the array's identity.
 */
export class NodeSets {
  readonly #byArray = new WeakMap<readonly NodeTarget[], string>();
  readonly #byContent = new Map<string, NodeSet>();
  readonly #byName = new Map<string, NodeSet>();
  /** The newest that was seen of each node, for as long as a set names it. */
  readonly #nodes = new Map<string, RuleNode>();
  #made = 0;

  /** Counts one more user of the set of these nodes. @returns its name, and the nodes that are new or have changed */
  use(nodes: readonly NodeTarget[]): { readonly name: string; readonly changed: readonly RuleNode[] } {
    const known = this.#byName.get(this.#byArray.get(nodes) ?? '');
    const set = known ?? this.#setOf(nodes);
    set.uses += 1;
    const changed = known ? [] : this.#learn(nodes);
    this.#byArray.set(nodes, set.name);
    return { name: set.name, changed };
  }

  /** Counts one user less. @returns whether the set has gone with it */
  leave(name: string): boolean {
    const set = this.#byName.get(name);
    if (!set) return false;
    set.uses -= 1;
    if (set.uses > 0) return false;
    this.#byName.delete(name);
    this.#byContent.delete(contentOf(set.ids));
    return true;
  }

  /** @returns false when there is no such set, or another has the name */
  rename(from: string, to: string): boolean {
    const set = this.#byName.get(from);
    if (!set || this.#byName.has(to)) return false;
    const renamed = { ...set, name: to };
    this.#byName.delete(from);
    this.#byName.set(to, renamed);
    this.#byContent.set(contentOf(set.ids), renamed);
    return true;
  }

  idsOf(name: string): readonly string[] | undefined {
    return this.#byName.get(name)?.ids;
  }

  /** Names of the sets that have the node. */
  setsWith(nodeId: string): readonly string[] {
    return [...this.#byName.values()].filter((set) => set.ids.includes(nodeId)).map((set) => set.name);
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }

  node(id: string): RuleNode | undefined {
    return this.#nodes.get(id);
  }

  nodes(): Iterable<RuleNode> {
    return this.#nodes.values();
  }

  /** Forgets the nodes that no set names any more. @returns their ids */
  prune(): readonly string[] {
    const named = new Set([...this.#byName.values()].flatMap((set) => set.ids));
    const gone = [...this.#nodes.keys()].filter((id) => !named.has(id));
    for (const id of gone) this.#nodes.delete(id);
    return gone;
  }

  #setOf(nodes: readonly NodeTarget[]): NodeSet {
    const ids = nodes.map((node) => node.name);
    const found = this.#byContent.get(contentOf(ids));
    if (found) return found;
    this.#made += 1;
    const set = { name: `s${this.#made}`, ids, uses: 0 };
    this.#byContent.set(contentOf(ids), set);
    this.#byName.set(set.name, set);
    return set;
  }

  #learn(nodes: readonly NodeTarget[]): readonly RuleNode[] {
    const changed: RuleNode[] = [];
    for (const node of nodes) {
      const rule = toRuleNode(node);
      const before = this.#nodes.get(rule.id);
      if (before && JSON.stringify(before) === JSON.stringify(rule)) continue;
      this.#nodes.set(rule.id, rule);
      changed.push(rule);
    }
    return changed;
  }
}

function contentOf(ids: readonly string[]): string {
  return ids.join('\n');
}
