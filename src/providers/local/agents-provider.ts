import { RULES_VERSION } from '../../forwarder/rules.ts';
import type { Balancer, NodeTarget, Report, Step } from '../../model.ts';
import type { Provider, ProviderContext, ProviderStart, Surroundings } from '../provider.ts';
import { AgentLink, type AgentNews, keyOfListener } from './agent-link.ts';
import { type AddressBook, Allocator, type Bound } from './allocate.ts';
import { portName } from './choose.ts';
import { LocalOnes, refuseUndelivered } from './delivery.ts';
import { findNodePorts, NodeBook } from './node-book.ts';
import { differingOptions, type LocalOptions, readOptions } from './options.ts';
import { type LocalStep, type Observed, type ObservedListener, type ObservedTarget, planSteps } from './plan.ts';
import { describePools, readPools } from './pools.ts';
import { reportObserved } from './report.ts';
import { findNodes, isServed, isUncarried, type RenderOptions, renderListeners, type WantedListener } from './rules.ts';
import { Strangers } from './strangers.ts';
import { refuseUncarried, withDefaults } from './wish.ts';

export interface AgentsParts {
  /** Milliseconds since the epoch. */
  now(): number;
}

/**
 * The local provider where agents on nodes and edge machines forward: it gives out addresses, which the controller records on the
 * Services; the agents read them there by themselves, and what they report is what exists. An address that an agent may still have
 * open is nobody else's, also over a restart of the controller.
 */
export class AgentsProvider implements Provider<Observed> {
  readonly name = 'local';
  readonly followsEndpoints = true;
  readonly #context: ProviderContext;
  readonly #parts: AgentsParts;
  #options: LocalOptions & RenderOptions;
  readonly #book: AddressBook;
  /** The same, where pools are configured. */
  readonly #allocator: Allocator | undefined;
  readonly #link: AgentLink;
  /** Listeners that nobody wants, and that agents may still have open, by id. */
  readonly #leaving = new Map<string, WantedListener>();
  #start: ProviderStart | undefined;
  readonly #strangers = new Strangers(() => this.#wake(this.#book.waiting()));
  /** Where kube-proxy delivers. */
  readonly #locals = new LocalOnes();
  /** By balancer; one that is released has none. */
  readonly #clashes = new Map<string, readonly string[]>();

  constructor(context: ProviderContext, options: LocalOptions, parts: AgentsParts) {
    this.#context = context;
    this.#parts = parts;
    this.#options = { ...options, ofNodes: options.pools.length === 0 };
    this.#link = new AgentLink({
      ...(context.agents ? { board: context.agents() } : {}),
      orders: (agents) => this.#renderOrders(agents),
      mayWrite: () => this.#start !== undefined && !this.#start.lookOnly && (this.#start.mayWrite?.() ?? true),
      leaves: (uid) => this.#start?.surroundings.leaves?.(uid) ?? false,
      changed: (news) => this.#pass(news),
      nowMs: () => performance.now(),
    });
    this.#allocator = this.#options.ofNodes
      ? undefined
      : new Allocator(readPools(options.pools), { ...options, keepsOutside: true, strangers: this.#strangers });
    this.#book = this.#allocator ?? new NodeBook((node) => this.#link.publishedAt(node));
  }

  async open(start: ProviderStart): Promise<void> {
    const reservedBy = (address: string) => start.surroundings.reservedBy(address);
    for (const warning of describePools(readPools(this.#options.pools), reservedBy)) this.#context.log.warn({}, warning);
    await this.#link.start();
    this.#start = start;
    this.#book.restore(start.balancers, reservedBy);
    this.#adopt();
    for (const balancer of start.lookOnly?.standing ?? []) {
      const drained = withDefaults(balancer, balancer.address.held);
      const nodesOf = findNodes(drained);
      for (const listener of renderListeners(drained, this.#options)) this.#link.put(listener, nodesOf(listener));
    }
    this.#link.command();
  }

  /** Who led meanwhile has written down on each Service what it gave; what agents still have open stays taken. */
  lead({ balancers, surroundings }: Pick<ProviderStart, 'balancers' | 'surroundings'>): void {
    for (const key of this.#book.keys()) this.#book.release(key, this.#boundOf(key));
    this.#locals.clear();
    this.#book.restore(balancers, (address) => surroundings.reservedBy(address));
    for (const key of this.#ownKeys()) this.#book.settle(key, this.#boundOf(key));
    this.#link.command();
  }

  reload(given: ProviderContext['options']): readonly string[] {
    const options = readOptions(given, true);
    const pools = readPools(options.pools);
    const differing = differingOptions(this.#options, options);
    if (!this.#allocator || pools.length === 0) {
      const isSame = !this.#allocator && pools.length === 0;
      return isSame ? differing : [...differing, '--local-pool (from the addresses of nodes to pools, or back)'];
    }
    this.#options = { ...this.#options, pools: options.pools };
    this.#wake([...this.#allocator.usePools(pools), ...this.#allocator.keys()]);
    this.#link.command();
    return differing;
  }

  async close(): Promise<void> {
    this.#start = undefined;
    this.#strangers.close();
    await this.#link.close();
  }

  async keys(): Promise<readonly string[]> {
    return [...new Set([...this.#book.keys(), ...this.#ownKeys()])];
  }

  adjust(balancer: Balancer, surroundings: Surroundings): Balancer {
    const { delivery } = this.#options;
    refuseUncarried(balancer, undefined);
    if (delivery !== undefined) refuseUndelivered(balancer);
    this.#noteStrangers(balancer.key);
    const before = this.#book.addressesOf(balancer.key);
    const nodePortUsers = (port: string) => surroundings.nodePortUsers?.(port) ?? [];
    const bound = this.#boundOf(balancer.key);
    const held = this.#book.assign(balancer, (address) => surroundings.reservedBy(address), bound, nodePortUsers);
    this.#noteClashes(balancer, nodePortUsers);
    if (delivery !== undefined) this.#enterLocal(balancer, held, before.length === 0);
    const adjusted = withDefaults(balancer, held);
    return this.#options.ofNodes ? { ...adjusted, address: { ...adjusted.address, ofNodes: true } } : adjusted;
  }

  /** At the nodes' own addresses, of ports that are served already; others are refused. */
  #noteClashes(balancer: Balancer, nodePortUsers: (port: string) => readonly string[]): void {
    const clashes = this.#options.ofNodes ? findNodePorts(balancer, nodePortUsers).map(({ message }) => message) : [];
    if (clashes.length > 0) this.#clashes.set(balancer.key, clashes);
    else this.#clashes.delete(balancer.key);
  }

  /** What a machine answers for that is no agent is given to nobody who did not ask for it. */
  #noteStrangers(key: string): void {
    for (const { listener } of this.#link.entriesOf(key)) {
      const state = this.#link.state(listener.id);
      if (state?.state === 'failed' && state.code === 'AddressDuplicate')
        this.#strangers.note(listener.address, state.message, key);
    }
  }

  /** What was given for the first time, and cannot be used so, is given back. */
  #enterLocal(balancer: Balancer, held: readonly string[], isNew: boolean): void {
    try {
      this.#wake(this.#locals.enter(balancer, held));
    } catch (thrown) {
      if (isNew) this.#wake(this.#book.release(balancer.key, this.#boundOf(balancer.key)));
      throw thrown;
    }
  }

  async observe(key: string): Promise<Observed> {
    const listeners = this.#link.entriesOf(key).map(({ listener, nodes }): ObservedListener => {
      const state = this.#link.state(listener.id);
      return { listener, nodes, paths: this.#link.paths(listener.id), ...(state === undefined ? {} : { state }) };
    });
    const addresses = this.#book.addressesOf(key);
    return {
      key,
      at: this.#parts.now(),
      addresses,
      outside: this.#book.outsideOf(key),
      clashes: this.#clashes.get(key) ?? [],
      listeners,
      closing: [],
      leaving: this.#leavingOf(key),
      targets: this.#observeTargets(listeners),
      ...(this.#options.ofNodes ? { hidden: this.#hide(addresses, listeners) } : {}),
    };
  }

  plan(wanted: Balancer | undefined, observed: Observed): readonly Step[] {
    return planSteps(wanted, observed, this.#options);
  }

  /** Nothing is sent: what the controller has written on the Services is what agents follow. */
  async apply(step: Step): Promise<void> {
    const local = step as LocalStep; // the controller hands back what `plan` gave it
    this.#link.command(); // whether nothing is wanted any more shows in no Service
    switch (local.kind) {
      case 'open-listener':
      case 'update-listener':
      case 'refuse-listener':
        this.#leaving.delete(local.listener.id);
        return this.#link.put(local.listener, local.nodes);
      case 'close-listener':
        this.#link.remove(local.listener.id);
        this.#leaving.set(local.listener.id, local.listener);
        return this.#finish();
      case 'release-addresses':
        this.#clashes.delete(local.key);
        return this.#wake([...this.#book.release(local.key, this.#boundOf(local.key)), ...this.#locals.leave(local.key)]);
    }
  }

  report(observed: Observed): Report {
    return reportObserved(observed);
  }

  /** What an agent has open and nobody here knows of: from before a restart, or an agent that was away. */
  #adopt(): void {
    const keys = new Set<string>();
    for (const [id, uid] of this.#link.found()) {
      if (this.#link.entry(id) || this.#leaving.has(id)) continue;
      const listener = imagine(id, uid);
      if (!listener) continue;
      this.#leaving.set(id, listener);
      keys.add(listener.key);
    }
    for (const key of keys) this.#book.settle(key, this.#boundOf(key));
  }

  /** What the last agent has let go of is free. */
  #finish(): void {
    const keys = new Set<string>();
    for (const [id, { uid, key }] of this.#leaving) {
      if (this.#link.isOpen(id, uid)) continue;
      this.#leaving.delete(id);
      keys.add(key);
    }
    for (const key of keys) this.#wake([key, ...this.#book.settle(key, this.#boundOf(key))]);
  }

  #pass({ keys, all }: AgentNews): void {
    if (!this.#start) return; // told again when it is opened
    this.#adopt();
    this.#finish();
    this.#wake(all ? [...this.#book.keys(), ...this.#ownKeys(), ...this.#book.waiting()] : [...keys]);
  }

  #wake(keys: readonly string[]): void {
    for (const key of new Set(keys)) this.#start?.changed(key);
  }

  #ownKeys(): readonly string[] {
    return [...this.#link.keys(), ...[...this.#leaving.values()].map(({ key }) => key)];
  }

  #leavingOf(key: string): readonly WantedListener[] {
    return [...this.#leaving.values()].filter((listener) => listener.key === key);
  }

  #boundOf(key: string): readonly Bound[] {
    const listeners = [...this.#link.entriesOf(key).map(({ listener }) => listener), ...this.#leavingOf(key)];
    return listeners.map((listener) => ({ address: listener.address, port: portName(listener) }));
  }

  #observeTargets(listeners: readonly ObservedListener[]): readonly ObservedTarget[] {
    const seen = new Set<number>();
    return listeners.flatMap(({ listener, nodes, state }) => {
      if (seen.has(listener.nodePort) || !isServed(listener) || isUncarried(listener, state)) return [];
      seen.add(listener.nodePort);
      return nodes.map(({ name }) => this.#observeTarget(name, listener.nodePort));
    });
  }

  #observeTarget(node: NodeTarget['name'], nodePort: number): ObservedTarget {
    const state = this.#link.target(node, nodePort);
    return { node, nodePort, ...(state === undefined ? {} : { state }) };
  }

  /** A node where nothing of the balancer is served, or under policy Local no endpoint is ready, is no way in; unless all are so. */
  #hide(addresses: readonly string[], listeners: readonly ObservedListener[]): readonly string[] {
    const hidden = addresses.filter((address) => {
      const here = listeners.filter(({ listener }) => listener.address === address && isServed(listener));
      if (here.length === 0) return false;
      if (here.every(({ state }) => state?.state === 'failed')) return true;
      return here.every(({ listener, nodes }) => listener.localOnly && !this.#link.isReadyAt(address, listener.nodePort, nodes));
    });
    return hidden.length < addresses.length ? hidden : [];
  }

  #renderOrders(agents: Parameters<ConstructorParameters<typeof AgentLink>[0]['orders']>[0]): string {
    const { pools, portFallback, delivery } = this.#options;
    return JSON.stringify({
      version: RULES_VERSION,
      ...this.#context.reading,
      portFallback,
      ...(delivery === undefined ? {} : { delivery }),
      ...(this.#start?.surroundings.retired?.() ? { retired: true } : {}),
      pools: pools.flatMap(({ addresses }) => addresses),
      agents: agents
        .map(({ agent, node, addresses }) => ({ name: agent, ...(node === undefined ? {} : { node }), addresses }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    });
  }
}

/** All that an id tells of a listener. @returns undefined for what is none of ours */
function imagine(id: string, uid: string): WantedListener | undefined {
  const match = /^\S+ (\d+)\/(TCP|UDP|SCTP) (\S+)$/.exec(id);
  if (!match) return undefined;
  const key = keyOfListener(id);
  return {
    id,
    key,
    uid,
    service: key,
    protocol: match[2] as WantedListener['protocol'],
    address: match[3]!,
    port: Number(match[1]),
    portFallback: false,
    nodePort: 0,
    check: { kind: 'nodePort' },
    localOnly: false,
    sourceRanges: [],
    drainMs: 0,
    idleMs: 0,
  };
}
