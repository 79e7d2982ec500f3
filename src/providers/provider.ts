import type { Balancer, Member, NodeTarget, Report, Step } from '../model.ts';

/**
 * THE SEAM. A provider turns a wanted balancer into steps, applies them one by one, and reports what really exists. Dry run,
 * plan, events, drift, doctor, gc and "never delete" are built on this and need no code of a provider's.
 *
 * `O` is the provider's own picture of one balancer; the controller hands it around and never looks inside.
 */
export interface Provider<O = unknown> {
  /** As in `--provider NAME`; recorded on each Service whose balancer it holds. */
  readonly name: string;

  /**
   * Nothing that `apply` makes outlives this process, or else it is gone before the next one here makes anything; and nobody but the
   * cluster has a memory of what `adjust` has given out. What a crash takes was then told to nobody, so the marks of a Service
   * (finalizer, holder, addresses) go on record in one write with its address, after `apply`. Absent: they go first, in a write of
   * their own, since a crash behind `apply` would leave what nobody finds again.
   */
  readonly ephemeral?: boolean;

  /**
   * Under policy Local only nodes with an endpoint shall be targets (`TargetGroup.endpointNodes`), for which the controller watches
   * EndpointSlices. Absent: every node is one, and its health check alone decides, as a cloud's balancer has it.
   */
  readonly followsEndpoints?: boolean;

  /**
   * Called once, before anything else, with every balancer that the cluster wants and the addresses that each holds, oldest
   * first: state in memory is rebuilt from it before the first allocation.
   * @throws {import('../errors.ts').UsageError} when the provider cannot work with its configuration
   */
  open(start: ProviderStart): Promise<void>;

  /**
   * Called each time that this process begins to lead, after `open` and before the first `adjust` of that time: another may have
   * led meanwhile and given out or made anything, so what is in memory is made good from what the cluster says and from what
   * exists. Absent: nothing is kept in memory that another could have changed.
   */
  lead?(start: ProviderStart): Promise<void> | void;

  /**
   * Other options while it runs, of the same shape as those that it was made with: what may change so, changes; nothing that is
   * held is moved by it. @returns the names of options that differ and need a restart
   * @throws {import('../errors.ts').UsageError} and goes on with the options before
   */
  reload?(options: ProviderContext['options']): readonly string[];

  /** Gives up: established connections may live on for at most `drainMs`. Resources that outlive the process stay. */
  close(drainMs: number): Promise<void>;

  /** Every balancer key that we own there, wanted or not. */
  keys(): Promise<readonly string[]>;

  /**
   * Fills in the provider's own defaults and choices (addresses above all), so that they neither look like drift nor change
   * from pass to pass. The addresses in `address.held` of the answer are recorded in the cluster before the first `apply`; of an
   * ephemeral provider, with the status that publishes them.
   * Called again with the same input it gives the same answer.
   * @throws {import('../errors.ts').Refusal} when this provider cannot do what is asked
   */
  adjust(balancer: Balancer, surroundings: Surroundings): Balancer;

  /**
   * What exists now, found by ownership marks. Cheap: from memory or a shared inventory.
   * @param wanted what `plan` will be asked for: of what is refused before `adjust` sees it the nodes change all the same. Absent: as before
   */
  observe(key: string, wanted?: Balancer): Promise<O>;

  /**
   * Pure. All the steps from what is observed to what is wanted (undefined: nothing), in order.
   * @param now milliseconds since the epoch
   * @param leaving members that want it no longer, oldest first: how it ends is for them to say. Absent: none, or not known
   */
  plan(wanted: Balancer | undefined, observed: O, now: number, leaving?: readonly Member[]): readonly Step[];

  /** Does one step. Safe to repeat, also after a crash in the middle. */
  apply(step: Step): Promise<void>;

  /**
   * What stands for Services that are refused and of which nobody remembers what was wanted before, as after a start: it stays as it is,
   * and only its targets follow the nodes. Absent: nothing outlives this process, or nobody there needs to be told of nodes.
   * @param uids the refused Services
   * @returns the steps, in order
   */
  follow?(key: string, nodes: readonly NodeTarget[], uids: readonly string[]): Promise<readonly Step[]>;

  /**
   * Reads anew how the targets of a balancer fare, because a person asks: `report` tells it then. Absent: it is watched all the time, or
   * nobody knows.
   */
  look?(key: string): Promise<void>;

  /** Connections that a data path of the provider's own has accepted since it started; absent: it forwards nothing itself. */
  connections?(): Promise<number>;

  /** Pure. Addresses, listeners, target health; settled and gone come from here only, never from an empty plan. */
  report(observed: O): Report;
}

export interface ProviderStart {
  readonly balancers: readonly Balancer[];
  readonly surroundings: Surroundings;
  /** Tells the controller that health, drift or room for a refused balancer has changed; the key is looked at again. */
  changed(key: string): void;
  /**
   * Whether this process leads. Asked right before each request that changes something outside the process, repeats included: a
   * leader that was paused and has lost its Lease must send none. Absent: it needs nobody's leave.
   */
  mayWrite?(): boolean;
  /** Somebody only wants to know what would be done. */
  readonly lookOnly?: LookOnly;
}

/**
 * `plan` looks on while a controller may be running: the provider starts, opens and writes nothing, keeps nothing running, `apply`
 * is never called, and what cannot be read is thrown by `open`.
 */
export interface LookOnly {
  /**
   * Balancers as the cluster says that they are published, with the addresses they have in `address.held`: what a provider knows
   * from its own memory only counts as made so.
   */
  readonly standing: readonly Balancer[];
}

/** What a provider must know of the cluster beside the balancer itself. */
export interface Surroundings {
  /** Who in the cluster uses this address already (a Service's externalIPs, a node, the API server), or undefined. */
  reservedBy(address: string): string | undefined;
  /** Services, as `namespace/name`, whose NodePort this is. @param port such as `30080/TCP`; absent: not known */
  nodePortUsers?(port: string): readonly string[];
  /** Whether the Service of this UID is there, holds a balancer of ours, and wants none any more; absent: not known. */
  leaves?(uid: string): boolean;
  /** Whether the Service of this UID is there and wants a balancer of ours, whichever; absent: not known. */
  wants?(uid: string): boolean;
  /** Whether no Service is claimed any more (nodeport-lb retire); absent: not so. */
  retired?(): boolean;
}

/** What a provider module is opened with; a third party's module exports `createProvider(context)`. */
export interface ProviderContext {
  readonly clusterName: string;
  readonly log: Log;
  /** Options that the provider itself understands, from flags, environment and file. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Programs of ours on other machines that work for the provider; absent: there can be none. */
  agents?(): AgentBoard;
  /** How this controller reads Services, for those who shall read them alike. */
  readonly reading?: Reading;
}

/** What decides which Services are a controller's, and how they and the nodes are read. */
export interface Reading {
  /** As it is noted on each Service that is held. */
  readonly holder: string;
  readonly loadBalancerClass: string;
  readonly shareAcrossNamespaces: boolean;
  readonly nodeAddressTypes: readonly string[];
  readonly namespaces: readonly string[];
}

/** What agents report, whether they live, and what all of them are told. */
export interface AgentBoard {
  /** Resolves when every agent that there is has been told of once; from then on each change of one. */
  open(changed: (notice: AgentNotice) => void): Promise<void>;
  /** Says that there may be new orders for all agents. @param render called when they are written; it is tried until they are */
  order(render: () => string): void;
  close(): Promise<void>;
}

export interface AgentNotice {
  readonly name: string;
  /** Its Lease is renewed. */
  readonly alive: boolean;
  /** As it wrote it; empty: it has written none, or has gone. */
  readonly report: string;
}

/** The part of a logger that providers use; pino fits. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
