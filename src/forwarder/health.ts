import type { RuleListener } from './rules.ts';
import { type Endpoint, endpointsOf, type NodeEntry, type Nodes } from './targets.ts';

/** Who may get a listener's traffic now. */
export interface Prospects {
  readonly healthy: readonly NodeEntry[];
  /** To be tried when no healthy one is left. */
  readonly others: readonly NodeEntry[];
}

export class Health {
  readonly #nodes: Nodes;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  prospects(rule: RuleListener): Prospects {
    return { healthy: this.#nodes.set(rule.nodeSet), others: [] };
  }

  /** The ways to a target, the one in use first. */
  waysTo(node: NodeEntry, nodePort: number): readonly Endpoint[] {
    return endpointsOf(node, nodePort);
  }

  reached(_node: NodeEntry, _nodePort: number, _endpoint: Endpoint): void {}

  failed(_node: NodeEntry, _nodePort: number, _endpoint: Endpoint, _code: string): void {}
}
