import { setTimeout as sleep } from 'node:timers/promises';
import { KUBE_PROXY_PORT } from './addresses.ts';
import { type Dial, NodePort, type OpenPort, openHealthPort, openProxyHealth } from './entrance.ts';
import type { Endpoint, HealthEntrance, NodeEntrances } from './entrances.ts';

/** `up`; `refusing`: as a machine that is off, seen from its own network; `silent`: as one that hangs. */
export type NodeState = 'up' | 'refusing' | 'silent';

/** Connections to a port that has gone may live on for this long. */
const DRAIN_MS = 60_000;
/** A node that nobody has come to for this long has been forgotten by everybody. */
const QUIET_MS = 100;
const NOTHING: NodeEntrances = { entrances: [], health: [] };

/** The network side of a node: the sockets that kube-proxy's rules amount to. */
export class NodeNetwork {
  readonly name: string;
  readonly address: string;
  readonly #dial: Dial;
  readonly #ports = new Map<string, { readonly wanted: number; readonly open: OpenPort }>();
  readonly #portMapChanged: () => void;
  #state: NodeState = 'up';
  #wanted = NOTHING;
  #working: Promise<void> | undefined;
  #again = false;
  /** Ports that could not be opened at all, with the reason; tried again with each change. */
  readonly failures = new Map<number, Error>();

  /** @param dial connects to an endpoint in the name of this node */
  constructor(options: { name: string; address: string; dial: Dial; portMapChanged: () => void }) {
    this.name = options.name;
    this.address = options.address;
    this.#dial = options.dial;
    this.#portMapChanged = options.portMapChanged;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** What is served on another port than the one that Kubernetes knows: `30123=127.0.0.1:49153,…`; empty when nothing is. */
  get portMap(): string {
    const moved = [...this.#ports.values()].filter(({ wanted, open }) => open.port !== wanted);
    return moved
      .sort((a, b) => a.wanted - b.wanted)
      .map(({ wanted, open }) => `${wanted}=${this.address}:${open.port}`)
      .join(',');
  }

  /** The port where a NodePort is really served; the NodePort itself while it is not. */
  servedAt(nodePort: number): number {
    return this.#ports.get(`tcp:${nodePort}`)?.open.port ?? nodePort;
  }

  /** Opens and closes what differs. Resolves when the sockets are as wanted by the latest call. */
  serve(wanted: NodeEntrances): Promise<void> {
    this.#wanted = wanted;
    return this.#work();
  }

  /** @param drainMs how long established connections may live on when the node stops taking new ones */
  async become(state: NodeState, drainMs = 0): Promise<void> {
    this.#state = state;
    if (state === 'refusing') {
      await this.#working;
      await this.#closeAll(drainMs);
    } else {
      await this.#work();
    }
  }

  /**
   * Goes on until nobody has come for a moment, then takes no more: closing a socket while connections wait in its queue
   * would reset them. @param limitMs for waiting, and then for established connections @param quietMs how long that moment is
   */
  async retire(limitMs: number, quietMs = QUIET_MS): Promise<void> {
    const end = performance.now() + limitMs;
    await sleep(quietMs);
    while (performance.now() < Math.min(end, this.#lastTakenAt() + quietMs)) await sleep(quietMs / 10);
    await this.stop(limitMs);
  }

  #lastTakenAt(): number {
    return Math.max(...[...this.#ports.values()].map(({ open }) => (open instanceof NodePort ? open.takenAt : 0)));
  }

  /** Resolves when every socket is closed. */
  async stop(drainMs = 0): Promise<void> {
    this.#wanted = NOTHING;
    await this.become('refusing', drainMs);
  }

  #work(): Promise<void> {
    this.#again = true;
    this.#working ??= this.#workUntilDone();
    return this.#working;
  }

  async #workUntilDone(): Promise<void> {
    await Promise.resolve(); // #working must be set before it is cleared
    const before = this.portMap;
    while (this.#again) {
      this.#again = false;
      if (this.#state !== 'refusing') await this.#pass(this.#wanted);
    }
    this.#working = undefined;
    if (this.portMap !== before) this.#portMapChanged();
  }

  async #pass({ entrances, health }: NodeEntrances): Promise<void> {
    const kept = new Set(['proxy', ...entrances.map((e) => `tcp:${e.nodePort}`), ...health.map((h) => `health:${h.port}`)]);
    for (const [key, { open }] of this.#ports) {
      if (kept.has(key)) continue;
      this.#ports.delete(key);
      void open.close(DRAIN_MS);
    }
    await this.#open('proxy', KUBE_PROXY_PORT, () => openProxyHealth(this.address, KUBE_PROXY_PORT));
    for (const { nodePort, endpoints } of entrances) await this.#openNodePort(nodePort, endpoints);
    for (const { port } of health) {
      await this.#open(`health:${port}`, port, () => openHealthPort(this.address, port, () => this.#healthOf(port)));
    }
  }

  async #openNodePort(nodePort: number, endpoints: readonly Endpoint[]): Promise<void> {
    const key = `tcp:${nodePort}`;
    await this.#open(key, nodePort, () => NodePort.open(this.address, nodePort, endpoints, this.#dial));
    const open = this.#ports.get(key)?.open;
    if (!(open instanceof NodePort)) return;
    open.sendTo(endpoints);
    open.silence(this.#state === 'silent');
  }

  #healthOf(port: number): HealthEntrance {
    return this.#wanted.health.find((h) => h.port === port) ?? { port, namespace: '', name: '', localEndpoints: 0 };
  }

  async #open(key: string, wanted: number, open: () => Promise<OpenPort>): Promise<void> {
    if (this.#ports.has(key)) return;
    try {
      this.#ports.set(key, { wanted, open: await open() });
      this.failures.delete(wanted);
    } catch (error) {
      this.failures.set(wanted, error as Error); // one port that cannot be opened leaves the others alone
    }
  }

  async #closeAll(drainMs: number): Promise<void> {
    const all = [...this.#ports.values()];
    this.#ports.clear();
    await Promise.all(all.map(({ open }) => open.close(drainMs)));
  }
}
