import { spawnForwarder } from '../../forwarder/child.ts';
import type { Balancer, NodeTarget, Report, Step } from '../../model.ts';
import type { Provider, ProviderContext, ProviderStart, Surroundings } from '../provider.ts';
import { AgentsProvider } from './agents-provider.ts';
import { Allocator, type Bound } from './allocate.ts';
import { portName } from './choose.ts';
import { Link, type News, type StartForwarder } from './link.ts';
import { differingOptions, type LocalOptions, readOptions } from './options.ts';
import { type LocalStep, type Observed, type ObservedListener, type ObservedTarget, planSteps } from './plan.ts';
import { describePools, type Pool, readPools } from './pools.ts';
import { reportObserved } from './report.ts';
import { findNodes, isServed, isUncarried, renderListeners, type ServedState, type WantedListener } from './rules.ts';
import { findStranger, Strangers } from './strangers.ts';
import { refuseUncarried, withDefaults } from './wish.ts';

/** What the provider takes from outside; the tests give a forwarder of this process. */
export interface LocalParts {
  readonly startForwarder: StartForwarder;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Whether the controller runs in a pod of the cluster. */
  readonly inCluster: boolean;
  /** How long a step waits for the forwarder; default 5 s. */
  readonly answerMs?: number;
  /** Who else has an address; default: `findStranger`. */
  findStranger?(address: string): Promise<string | undefined>;
  /** Milliseconds before whoever was found is asked for again; default: as in `Strangers`. */
  readonly strangerMs?: number;
}

/** The provider as the program uses it: with a forwarder in a process of its own. */
export function createProvider(context: ProviderContext): Provider<Observed> {
  const inCluster = process.env['KUBERNETES_SERVICE_HOST'] !== undefined;
  return createLocalProvider(context, { startForwarder: spawnForwarder, now: Date.now, inCluster });
}

/** The provider with parts of the caller's choice. */
export function createLocalProvider(context: ProviderContext, parts: LocalParts): Provider<Observed> {
  const options = readOptions(context.options, parts.inCluster);
  return options.forwarder === 'agents'
    ? new AgentsProvider(context, options, parts)
    : new LocalProvider(context, options, parts);
}

/**
 * Gives each balancer addresses out of pools of this machine, and forwards every one of its TCP and UDP ports to the nodes by a
 * forwarder of its own. The cluster keeps what is worth keeping: the addresses. The rest is made again after a start.
 */
class LocalProvider implements Provider<Observed> {
  readonly name = 'local';
  /** Sockets end with the forwarder, which ends with this process; kernel tables of a forwarder that was killed go before the next begins. */
  readonly ephemeral = true;
  readonly followsEndpoints = true;
  readonly #context: ProviderContext;
  readonly #parts: LocalParts;
  #options: LocalOptions;
  #pools: readonly Pool[];
  readonly #allocator: Allocator;
  readonly #link: Link;
  readonly #strangers: Strangers;
  /** Every listener that is wanted or not yet closed, by balancer key and id. */
  readonly #listeners = new Map<string, Map<string, WantedListener>>();
  /** A node port belongs to one Service, so to one balancer, of which several listeners may send to it. */
  readonly #keyByNodePort = new Map<number, string>();
  #changed: (key: string) => void = () => {};

  constructor(context: ProviderContext, options: LocalOptions, parts: LocalParts) {
    this.#context = context;
    this.#parts = parts;
    this.#options = options;
    this.#pools = readPools(this.#options.pools);
    this.#strangers = new Strangers((addresses) => this.#seekAgain(addresses), undefined, parts.strangerMs);
    this.#allocator = new Allocator(this.#pools, { ...this.#options, keepsOutside: true, strangers: this.#strangers });
    this.#link = new Link(context.log, (news) => this.#pass(news), parts.answerMs);
  }

  async open(start: ProviderStart): Promise<void> {
    const { surroundings } = start;
    for (const warning of describePools(this.#pools, (address) => surroundings.reservedBy(address)))
      this.#context.log.warn({}, warning);
    this.#allocator.restore(start.balancers, (address) => surroundings.reservedBy(address));
    if (start.lookOnly) return this.#imagine(start.lookOnly.standing);
    this.#changed = (key) => start.changed(key);
    const { datapath = 'userspace' } = this.#options;
    await this.#link.start((options) => this.#parts.startForwarder({ ...options, datapath, isPrivate: true }));
  }

  /** Who led meanwhile has written down on each Service what it gave; what is still open here stays taken until it is closed. */
  lead(start: ProviderStart): void {
    for (const key of this.#allocator.keys()) this.#allocator.release(key, this.#boundOf(key));
    this.#allocator.restore(start.balancers, (address) => start.surroundings.reservedBy(address));
    for (const key of this.#listeners.keys()) this.#allocator.settle(key, this.#boundOf(key));
  }

  reload(given: ProviderContext['options']): readonly string[] {
    const options = readOptions(given, this.#parts.inCluster);
    const pools = readPools(options.pools);
    const differing = differingOptions(this.#options, options);
    this.#options = { ...this.#options, pools: options.pools };
    this.#pools = pools;
    this.#wake([...this.#allocator.usePools(pools), ...this.#allocator.keys()]);
    return differing;
  }

  /** What a running controller has open, as far as the cluster tells; there is no forwarder that would be told of it. */
  #imagine(standing: readonly Balancer[]): void {
    for (const balancer of standing) {
      const drained = withDefaults(balancer, balancer.address.held);
      const nodesOf = findNodes(drained);
      for (const listener of renderListeners(drained, this.#options)) this.#note(listener, nodesOf(listener));
    }
  }

  async close(drainMs: number): Promise<void> {
    this.#changed = () => {};
    this.#strangers.close();
    await this.#link.close(drainMs);
  }

  connections(): Promise<number> {
    return this.#link.connections();
  }

  async keys(): Promise<readonly string[]> {
    return [...new Set([...this.#allocator.keys(), ...this.#listeners.keys()])];
  }

  adjust(balancer: Balancer, surroundings: Surroundings): Balancer {
    refuseUncarried(balancer, this.#options.datapath);
    const held = this.#allocator.assign(balancer, (address) => surroundings.reservedBy(address), this.#boundOf(balancer.key));
    return withDefaults(balancer, held);
  }

  async observe(key: string): Promise<Observed> {
    const listeners: ObservedListener[] = [];
    const closing: WantedListener[] = [];
    for (const listener of this.#listeners.get(key)?.values() ?? []) {
      const entry = this.#link.entry(listener.id);
      const state = this.#stateOf(listener);
      if (!entry) closing.push(listener);
      else listeners.push({ listener, nodes: entry.nodes, ...(state === undefined ? {} : { state }) });
    }
    const addresses = this.#allocator.addressesOf(key);
    const outside = this.#allocator.outsideOf(key);
    return { key, at: this.#parts.now(), addresses, outside, listeners, closing, targets: this.#observeTargets(listeners) };
  }

  plan(wanted: Balancer | undefined, observed: Observed): readonly Step[] {
    return planSteps(wanted, observed, this.#options);
  }

  async apply(step: Step): Promise<void> {
    const local = step as LocalStep; // the controller hands back what `plan` gave it
    switch (local.kind) {
      case 'open-listener':
      case 'update-listener':
      case 'refuse-listener':
        return this.#serve(local);
      case 'close-listener':
        return this.#stop(local.listener);
      case 'release-addresses':
        return this.#wake(this.#allocator.release(local.key, this.#boundOf(local.key)));
    }
  }

  report(observed: Observed): Report {
    return reportObserved(observed);
  }

  /** An open socket stays open while its listener changes, so only what is new has an answer to wait for. */
  async #serve({ kind, listener, nodes }: Extract<LocalStep, { nodes: unknown }>): Promise<void> {
    this.#note(listener, nodes);
    if (kind !== 'open-listener') return;
    await this.#link.opened(listener.id);
    await this.#seekStranger(listener);
  }

  /** An address that is none of this machine, though it is of its link, may be another machine's: then the balancer gets another one. */
  async #seekStranger({ id, key, address }: WantedListener): Promise<void> {
    const state = this.#link.state(id);
    if (state?.state !== 'failed' || state.code !== 'AddressUnavailable' || this.#strangers.at(address) !== undefined) return;
    const what = await (this.#parts.findStranger ?? findStranger)(address).catch(() => undefined); // then it stays as it was reported
    if (what === undefined) return;
    this.#strangers.note(address, what, key);
    this.#changed(key);
  }

  /** Who waits for an address may get one of these now; where one is still asked for, so is whoever has it, and what is told of it. */
  #seekAgain(addresses: readonly string[]): void {
    this.#wake(this.#allocator.waiting());
    const all = [...this.#listeners.values()].flatMap((ofKey) => [...ofKey.values()]);
    for (const address of addresses) {
      const here = all.filter((one) => one.address === address);
      const [first] = here;
      if (first) void this.#seekStranger(first).then(() => this.#wake([...new Set(here.map(({ key }) => key))]));
    }
  }

  #stateOf({ id, address }: WantedListener): ServedState | undefined {
    const state = this.#link.state(id);
    const message = this.#strangers.at(address);
    if (message === undefined || state?.state !== 'failed' || state.code !== 'AddressUnavailable') return state;
    return { state: 'failed', code: 'AddressDuplicate', message };
  }

  #note(listener: WantedListener, nodes: readonly NodeTarget[]): void {
    const ofKey = this.#listeners.get(listener.key) ?? new Map<string, WantedListener>();
    const before = ofKey.get(listener.id);
    ofKey.set(listener.id, listener);
    this.#listeners.set(listener.key, ofKey);
    if (before && before.nodePort !== listener.nodePort) this.#forgetNodePort(before);
    this.#keyByNodePort.set(listener.nodePort, listener.key);
    this.#link.put(listener, nodes);
  }

  async #stop({ key, id }: WantedListener): Promise<void> {
    const listener = this.#listeners.get(key)?.get(id);
    if (!listener) return;
    this.#link.remove(id);
    await this.#link.closed(id);
    if (this.#link.entry(id)) return; // wanted again meanwhile
    const ofKey = this.#listeners.get(key);
    ofKey?.delete(id);
    if (ofKey?.size === 0) this.#listeners.delete(key);
    this.#forgetNodePort(listener);
    this.#wake(this.#allocator.settle(key, this.#boundOf(key)));
  }

  /** Once no listener sends to it any more. */
  #forgetNodePort({ key, nodePort }: WantedListener): void {
    for (const other of this.#listeners.get(key)?.values() ?? []) if (other.nodePort === nodePort) return;
    if (this.#keyByNodePort.get(nodePort) === key) this.#keyByNodePort.delete(nodePort);
  }

  #boundOf(key: string): readonly Bound[] {
    return [...(this.#listeners.get(key)?.values() ?? [])].map((listener) => ({
      address: listener.address,
      port: portName(listener),
    }));
  }

  #observeTargets(listeners: readonly ObservedListener[]): readonly ObservedTarget[] {
    const seen = new Set<number>();
    const targets: ObservedTarget[] = [];
    for (const { listener, nodes, state: served } of listeners) {
      if (seen.has(listener.nodePort) || !isServed(listener) || isUncarried(listener, served)) continue;
      seen.add(listener.nodePort);
      for (const { name } of nodes) {
        const state = this.#link.target(name, listener.nodePort);
        targets.push({ node: name, nodePort: listener.nodePort, ...(state === undefined ? {} : { state }) });
      }
    }
    return targets;
  }

  #wake(keys: readonly string[]): void {
    for (const key of keys) this.#changed(key);
  }

  /** Tells the controller of the balancers whose report a forwarder's report has changed, each once. */
  #pass(news: News): void {
    const keys = new Set<string>();
    for (const id of news.listeners) keys.add(this.#link.entry(id)?.listener.key ?? '');
    for (const { node, nodePort } of news.targets) {
      if (nodePort === undefined) this.#addKeysOfNode(node, keys);
      else keys.add(this.#keyByNodePort.get(nodePort) ?? '');
    }
    keys.delete('');
    this.#wake([...keys]);
  }

  /** A node's own health is that of most of its balancers: the walk over all of them is no more than the answer. */
  #addKeysOfNode(node: string, keys: Set<string>): void {
    const sets = new Set(this.#link.setsWith(node));
    for (const [key, listeners] of this.#listeners) {
      for (const id of listeners.keys()) if (sets.has(this.#link.entry(id)?.nodeSet ?? '')) keys.add(key);
    }
  }
}
