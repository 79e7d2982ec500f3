import type { Balancer, Report, Step } from '../model.ts';

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
   * Called once, before anything else, with every balancer that the cluster wants and the addresses that each holds, oldest
   * first: state in memory is rebuilt from it before the first allocation.
   * @throws {import('../errors.ts').UsageError} when the provider cannot work with its configuration
   */
  open(start: ProviderStart): Promise<void>;

  /** Gives up: established connections may live on for at most `drainMs`. Resources that outlive the process stay. */
  close(drainMs: number): Promise<void>;

  /** Every balancer key that we own there, wanted or not. */
  keys(): Promise<readonly string[]>;

  /**
   * Fills in the provider's own defaults and choices (addresses above all), so that they neither look like drift nor change
   * from pass to pass. The addresses in `address.held` of the answer are recorded in the cluster before the first `apply`.
   * Called again with the same input it gives the same answer.
   * @throws {import('../errors.ts').Refusal} when this provider cannot do what is asked
   */
  adjust(balancer: Balancer, surroundings: Surroundings): Balancer;

  /** What exists now, found by ownership marks. Cheap: from memory or a shared inventory. */
  observe(key: string): Promise<O>;

  /**
   * Pure. All the steps from what is observed to what is wanted (undefined: nothing), in order.
   * @param now milliseconds since the epoch
   */
  plan(wanted: Balancer | undefined, observed: O, now: number): readonly Step[];

  /** Does one step. Safe to repeat, also after a crash in the middle. */
  apply(step: Step): Promise<void>;

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
}

/** What a provider module is opened with; a third party's module exports `createProvider(context)`. */
export interface ProviderContext {
  readonly clusterName: string;
  readonly log: Log;
  /** Options that the provider itself understands, from flags, environment and file. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** The part of a logger that providers use; pino fits. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
