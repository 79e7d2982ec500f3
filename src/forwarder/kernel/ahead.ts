import type { Load } from './load.ts';
import { faultOf, type KernelFault } from './nft.ts';
import type { Plan } from './plan.ts';
import { type Place, portLines, type RulesetOptions, renderHead, renderRuleset, tailLines } from './ruleset.ts';

/** Listeners in one command of nft. */
const AT_ONCE = 500;

/** What it needs of `Nft`. */
interface Loader {
  apply(commands: string): Promise<KernelFault | undefined>;
  begin(): Pick<Load, 'write' | 'end' | 'giveUp'>;
}

/**
 * Loads whole rulesets. With the first rules of many listeners nft is given their nodePorts while all the rest is still found out: to
 * read those takes it as long as that takes us.
 */
export class Ahead {
  readonly #nft: Loader;
  readonly #options: RulesetOptions;
  #load: ReturnType<Loader['begin']> | undefined;
  #places: Place[] = [];
  #written = 0;

  constructor(nft: Loader, options: RulesetOptions) {
    this.#nft = nft;
    this.#options = options;
  }

  /** A listener that will be in the next whole ruleset, as far as is known. */
  add(place: Place): void {
    if (this.#places.push(place) - this.#written >= AT_ONCE) this.#write();
  }

  /** @param meanwhile is called where nft takes its time @returns why nothing of it was done, or undefined */
  async load(plan: Plan, meanwhile: () => void): Promise<KernelFault | undefined> {
    const load = this.#take(plan);
    for (const line of load ? tailLines(plan, this.#options) : []) load?.write(line);
    const answering = load?.end();
    if (load) meanwhile();
    const answer = await answering;
    if (answer === undefined) return this.#nft.apply(renderRuleset(plan, this.#options));
    return answer === '' ? undefined : faultOf(answer);
  }

  giveUp(): void {
    this.#load?.giveUp();
    this.#load = undefined;
    this.#places = [];
    this.#written = 0;
  }

  /** @returns the load in which the nodePorts of these very listeners stand already, if there is one */
  #take({ entries }: Plan): ReturnType<Loader['begin']> | undefined {
    const places = this.#places;
    const isWhole =
      places.length === entries.size && places.every(({ key, nodePort }) => entries.get(key)?.rule.nodePort === nodePort);
    if (this.#load && isWhole) this.#write();
    const load = isWhole ? this.#load : undefined;
    if (load) this.#load = undefined;
    this.giveUp();
    return load;
  }

  #write(): void {
    this.#load ??= this.#open();
    for (const line of portLines(this.#places.slice(this.#written), this.#options)) this.#load.write(line);
    this.#written = this.#places.length;
  }

  #open(): ReturnType<Loader['begin']> {
    const load = this.#nft.begin();
    load.write(renderHead(this.#options));
    return load;
  }
}
