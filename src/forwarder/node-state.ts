import type { Answer } from './probe.ts';
import type { NodeEntry } from './targets.ts';
import { type Judgement, judge, type Verdict, verdicts } from './verdict.ts';

/** One check of a node that fails makes it suspect, a thorough one that fails as well makes it unhealthy. */
const NODE_THRESHOLDS = { rise: 1, fall: 2, freshFall: 2 };

/** What is known of a node as a whole, and which of its addresses is used. */
export class NodeState {
  readonly entry: NodeEntry;
  /** When the next shared check is due, monotonic milliseconds. */
  dueMs = 0;
  /** When the addresses before the one in use are tried again. */
  betterDueMs = 0;
  checking = false;
  /** A NodePort that answered last time; the next check asks it again. */
  port: number | undefined;
  #judgement: Judgement = { verdict: verdicts.untried, streak: 0 };
  /** By the index of the address. Answers at all; has accepted a NodePort. */
  #alive: (boolean | undefined)[] = [];
  #serves: boolean[] = [];
  #addresses: readonly string[] = [];
  #hasAnswered = false;
  readonly #refusals = new Map<string, string>();

  constructor(entry: NodeEntry) {
    this.entry = entry;
    this.followAddresses();
  }

  get verdict(): Verdict {
    return this.#judgement.verdict;
  }

  /** Index of the address in use. */
  get inUse(): number {
    return chooseAddress(this.#alive, this.#serves);
  }

  /** What the system said where it knows no way to an address, by address; the others were silent. */
  get refusals(): ReadonlyMap<string, string> {
    return this.#refusals;
  }

  refusedWay(way: number, code: string | undefined): void {
    const address = this.#addresses[way];
    if (address !== undefined && code !== undefined) this.#refusals.set(address, code);
    else if (address !== undefined) this.#refusals.delete(address);
  }

  /** Whether anything was ever heard from it, at any address. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  get address(): string | undefined {
    return this.#addresses[this.inUse];
  }

  /** What is known of addresses that stay is kept. */
  followAddresses(): void {
    const { addresses } = this.entry;
    const before = addresses.map((address) => this.#addresses.indexOf(address));
    this.#alive = before.map((i) => this.#alive[i]);
    this.#serves = before.map((i) => this.#serves[i] ?? false);
    this.#addresses = addresses;
    for (const address of this.#refusals.keys()) if (!addresses.includes(address)) this.#refusals.delete(address);
  }

  isKnownSilent(way: number): boolean {
    return this.#alive[way] === false;
  }

  /** What an address answered. @returns true when another address is in use now */
  heardFrom(way: number, answer: Answer): boolean {
    if (way >= this.#addresses.length) return false;
    const before = this.inUse;
    this.#alive[way] = answer !== 'silent';
    this.#hasAnswered ||= answer !== 'silent';
    if (answer === 'accepted') this.#serves[way] = true;
    if (answer === 'silent') this.#serves[way] = false;
    return this.inUse !== before;
  }

  /** The outcome of a check of the node. @returns true when the verdict has changed */
  heard(isAlive: boolean): boolean {
    const before = this.#judgement.verdict;
    this.#hasAnswered ||= isAlive;
    this.#judgement = judge(this.#judgement, isAlive, NODE_THRESHOLDS);
    return this.#judgement.verdict !== before;
  }
}

/**
 * Pure. The first address on which a NodePort was accepted; else the first that answers; else the first not known to be
 * silent; else the first.
 */
export function chooseAddress(alive: readonly (boolean | undefined)[], serves: readonly boolean[]): number {
  const choices = [alive.findIndex((is, i) => is === true && serves[i] === true), alive.indexOf(true), alive.indexOf(undefined)];
  return choices.find((index) => index >= 0) ?? 0;
}
