import { Refusal } from '../../src/errors.ts';
import type { Balancer, Report, Step } from '../../src/model.ts';
import type { Provider, ProviderStart, Surroundings } from '../../src/providers/provider.ts';

/** What the "cloud" keeps: it outlives the provider object, as a cloud outlives the controller. */
export class MemoryCloud {
  readonly balancers = new Map<
    string,
    { address: string; listeners: readonly { uid: string; port: number }[]; nodes: readonly string[] }
  >();
  /** Balancers are active only from when this is set. */
  active = true;
  /** Asked before each call; what it returns is thrown. */
  refuse: (step: Step) => Error | undefined = () => undefined;
  /** Called after the cloud has acted and before the provider knows. */
  acted: (step: Step) => void = () => {};
  unhealthy: readonly string[] = [];
  notes: Report['notes'];
  #next = 1;

  nextAddress(): string {
    return `192.0.2.${this.#next++}`;
  }
}

type CloudStep = Step & { readonly key: string; readonly goal: MemoryBalancer | undefined };
type MemoryBalancer = {
  readonly address: string;
  readonly listeners: readonly { uid: string; port: number }[];
  readonly nodes: readonly string[];
};
type Observed = MemoryBalancer | undefined;

/** A provider with behaviour: addresses are sticky, steps are idempotent, and what was made stays until it is taken down. */
export class MemoryProvider implements Provider<Observed> {
  readonly name: string;
  readonly #cloud: MemoryCloud;
  readonly #assigned = new Map<string, string>();
  changed: (key: string) => void = () => {};
  honours: 'nothing' | 'reservations' = 'nothing';
  /** Keys that it refuses to serve. */
  readonly refused = new Set<string>();

  constructor(cloud: MemoryCloud, name = 'memory') {
    this.#cloud = cloud;
    this.name = name;
  }

  async open(start: ProviderStart): Promise<void> {
    this.changed = start.changed;
    for (const balancer of start.balancers) this.#assign(balancer);
  }

  async close(): Promise<void> {
    this.changed = () => {};
  }

  async keys(): Promise<readonly string[]> {
    return [...this.#cloud.balancers.keys()];
  }

  /** What the key has, or undefined. */
  addressOf(key: string): string | undefined {
    return this.#assigned.get(key);
  }

  adjust(balancer: Balancer, surroundings: Surroundings): Balancer {
    if (this.refused.has(balancer.key)) throw new Refusal('PoolExhausted', 'There is no address left');
    const address = this.#assign(balancer);
    const by = this.honours === 'reservations' ? surroundings.reservedBy(address) : undefined;
    if (by !== undefined) throw new Refusal('AddressReserved', `Address ${address} is in use by ${by}`);
    return { ...balancer, address: { ...balancer.address, held: [address] } };
  }

  #assign(balancer: Balancer): string {
    const had = balancer.address.held[0] ?? this.#assigned.get(balancer.key);
    const address = had ?? this.#cloud.nextAddress();
    this.#assigned.set(balancer.key, address);
    return address;
  }

  async observe(key: string): Promise<Observed> {
    return this.#cloud.balancers.get(key);
  }

  plan(wanted: Balancer | undefined, observed: Observed): readonly CloudStep[] {
    if (!wanted) return observed ? [step('delete-balancer', observed.address, undefined)] : [];
    const goal = {
      address: wanted.address.held[0]!,
      listeners: wanted.listeners.map((l) => ({ uid: l.service.uid, port: l.port })),
      nodes: wanted.nodes.map((n) => n.name),
    };
    if (JSON.stringify(goal) === JSON.stringify(observed)) return [];
    return [step(observed ? 'change-balancer' : 'create-balancer', wanted.key, goal)];
  }

  async apply(asked: Step): Promise<void> {
    const { key, goal } = asked as CloudStep;
    const error = this.#cloud.refuse(asked);
    if (error) throw error;
    if (goal) this.#cloud.balancers.set(key, goal);
    else for (const [name, has] of this.#cloud.balancers) if (has.address === key) this.#cloud.balancers.delete(name);
    this.#cloud.acted(asked);
  }

  report(observed: Observed): Report {
    if (!observed) return { addresses: [], listeners: [], targets: [], settled: true, gone: true };
    return {
      addresses: this.#cloud.active ? [{ ip: observed.address, ipMode: 'Proxy' }] : [],
      listeners: observed.listeners.map(({ uid, port }) => ({ uid, port, protocol: 'TCP' })),
      targets: observed.nodes.map((node) => ({
        node,
        health: this.#cloud.unhealthy.includes(node) ? 'unhealthy' : 'healthy',
        asOf: 1,
      })),
      settled: this.#cloud.active,
      gone: false,
      ...(this.#cloud.notes ? { notes: this.#cloud.notes } : {}),
    };
  }
}

function step(kind: string, key: string, goal: MemoryBalancer | undefined): CloudStep {
  return { kind, key, goal, summary: `${kind} ${key}`, reason: 'asked for', disrupts: goal === undefined };
}
