import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { isLoopback } from './kernel/needs.ts';
import { canonical } from './kernel/plan.ts';
import { formatEndpoint } from './problems.ts';
import type { ForwarderLog, ListenFailure, RuleListener } from './rules.ts';
import { type Endpoint, endpointsOf, type Nodes } from './targets.ts';

/** Loops that are told in the log after one change of the rules; a report has all of them. */
const MAX_TOLD = 20;

/** A listener as others may come to it, and where it sends. */
export interface Spot {
  readonly id: string;
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  readonly targets: readonly Endpoint[];
}

/** What of a listener's targets leads back to it. */
export interface Found {
  /** Listeners that its targets are, by `formatEndpoint` of the target. */
  readonly back: ReadonlyMap<string, string>;
  /** No target leads anywhere else. */
  readonly isAll: boolean;
}

/**
 * Pure. Listeners whose connections would come back to them through targets that are listeners of this forwarder, itself or others: each
 * client would make another one, until no place is left. Takes time by the number of targets, however long the way round is.
 * @param isOwn whether an address is one of this machine, where a wildcard listens
 */
export function findLoops(spots: readonly Spot[], isOwn: (address: string) => boolean): ReadonlyMap<string, Found> {
  const at = new Map(spots.map(({ id, protocol, address, port }) => [placeOf(protocol, address, port), id]));
  const leadsTo = ({ protocol }: Spot, { address, port }: Endpoint): string | undefined =>
    at.get(placeOf(protocol, address, port)) ??
    (isOwn(address)
      ? wildcardsFor(address)
          .map((any) => at.get(placeOf(protocol, any, port)))
          .find(Boolean)
      : undefined);
  const edges = new Map(spots.map((spot) => [spot.id, spot.targets.flatMap((target) => leadsTo(spot, target) ?? [])]));
  const circleOf = findCircles(edges);
  const found = new Map<string, Found>();
  for (const spot of spots) {
    const back = new Map<string, string>();
    for (const target of spot.targets) {
      const to = leadsTo(spot, target);
      if (to !== undefined && circleOf.get(to) === circleOf.get(spot.id)) back.set(keyOfEndpoint(target), to);
    }
    if (back.size > 0) found.set(spot.id, { back, isAll: spot.targets.every((target) => back.has(keyOfEndpoint(target))) });
  }
  return found;
}

/** Pure. Those that can all reach each other have the same number (Kosaraju). */
function findCircles(edges: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, number> {
  const back = new Map([...edges.keys()].map((id) => [id, [] as string[]]));
  for (const [from, all] of edges) for (const to of all) back.get(to)?.push(from);
  const circles = walk(
    walk([...edges.keys()], edges)
      .flat()
      .reverse(),
    back,
  );
  return new Map(circles.flatMap((members, i) => members.map((id) => [id, i] as const)));
}

/** Goes as far as it comes from each of these that was not met before. @returns what each walk met, in the order in which it was left */
function walk(from: readonly string[], edges: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const met = new Set<string>();
  const path: { readonly id: string; next: number }[] = [];
  const visit = (id: string): void => {
    if (met.has(id)) return;
    met.add(id);
    path.push({ id, next: 0 });
  };
  return from.map((start) => {
    const left: string[] = [];
    visit(start);
    for (let last = path.at(-1); last; last = path.at(-1)) {
      const to = edges.get(last.id)?.[last.next++];
      if (to !== undefined) visit(to);
      else left.push(path.pop()!.id);
    }
    return left;
  });
}

function wildcardsFor(address: string): readonly string[] {
  return isIP(address) === 4 ? ['0.0.0.0', '::'] : ['::'];
}

function placeOf(protocol: string, address: string, port: number): string {
  return `${protocol} ${canonical(address)} ${port}`;
}

function keyOfEndpoint({ address, port }: Endpoint): string {
  return formatEndpoint(address, port);
}

/** The loops of a forwarder's listeners. */
export class Loops {
  readonly #nodes: Nodes;
  readonly #log: ForwarderLog;
  readonly #ownAddresses: () => ReadonlySet<string>;
  #found: ReadonlyMap<string, Found> = new Map();

  /** @param ownAddresses canonical ones of this machine */
  constructor(nodes: Nodes, log: ForwarderLog, ownAddresses: () => ReadonlySet<string>) {
    this.#nodes = nodes;
    this.#log = log;
    this.#ownAddresses = ownAddresses;
  }

  /**
   * To be called when listeners, their ports or their targets have changed.
   * @param portOf where a listener is served that may be elsewhere than its rule says
   * @returns ids of listeners that have loops now, or had some before
   */
  look(listeners: Iterable<RuleListener>, portOf: (id: string) => number | undefined): ReadonlySet<string> {
    const before = this.#found;
    const rules = [...listeners];
    const ports = new Set(rules.map((rule) => servedPort(rule, portOf)));
    const leading = new Set(rules.filter((rule) => this.#mayLead(rule, ports)));
    this.#found = leading.size === 0 ? none : this.#find(rules.map(this.#spotOf(leading, portOf)));
    this.#tell(before);
    return new Set([...before.keys(), ...this.#found.keys()]);
  }

  #find(spots: readonly Spot[]): ReadonlyMap<string, Found> {
    const own = this.#ownAddresses();
    return findLoops(spots, (address) => isLoopback(address) || own.has(canonical(address)));
  }

  leadsBack(id: string, endpoint: Endpoint): boolean {
    return this.#found.size > 0 && this.#found.get(id)?.back.has(keyOfEndpoint(endpoint)) === true;
  }

  has(id: string): boolean {
    return this.#found.has(id);
  }

  /** Why a listener serves nobody; undefined: it does. */
  faultOf(id: string): { readonly code: ListenFailure; readonly message: string } | undefined {
    const found = this.#found.get(id);
    return found?.isAll ? { code: 'TargetLoops', message: describe(id, found) } : undefined;
  }

  /** Nearly all nodePorts are no port of any listener, and need not be looked at node by node. */
  #mayLead({ nodeSet, nodePort }: RuleListener, ports: ReadonlySet<number>): boolean {
    if (ports.has(nodePort)) return true;
    return this.#nodes.hasOwnPorts(nodeSet) && this.#endpoints(nodeSet, nodePort).some(({ port }) => ports.has(port));
  }

  #spotOf(leading: ReadonlySet<RuleListener>, portOf: (id: string) => number | undefined): (rule: RuleListener) => Spot {
    return (rule) => {
      const targets = leading.has(rule) ? this.#endpoints(rule.nodeSet, rule.nodePort) : [];
      return { id: rule.id, protocol: rule.protocol, address: rule.address, port: servedPort(rule, portOf), targets };
    };
  }

  #endpoints(nodeSet: string, nodePort: number): readonly Endpoint[] {
    return this.#nodes.set(nodeSet).flatMap((node) => endpointsOf(node, nodePort));
  }

  #tell(before: ReadonlyMap<string, Found>): void {
    const news = [...this.#found].filter(([id, found]) => !isDeepStrictEqual(before.get(id), found));
    for (const [id, found] of news.slice(0, MAX_TOLD)) {
      this.#log.warn({ listener: id, of: news.length }, `${describe(id, found)}, and is passed over`);
    }
  }
}

const none: ReadonlyMap<string, Found> = new Map();

function servedPort({ id, port, portFallback }: RuleListener, portOf: (id: string) => number | undefined): number {
  return (port === 0 || portFallback ? portOf(id) : undefined) ?? port;
}

function describe(id: string, { back }: Found): string {
  const [target = '', to = ''] = [...back][0] ?? [];
  return to === id
    ? `its target ${target} is this listener itself`
    : `its target ${target} is listener ${to}, which leads back here`;
}
