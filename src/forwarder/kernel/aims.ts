import { type Aim, canonical, type Family } from './plan.ts';

/** Where a connection may be sent. */
export interface Way {
  readonly address: string;
  readonly port: number;
}

/** Pure. @param nodePort of the listener; targets that all have it share their chain with listeners of other nodePorts */
export function aimAt(
  family: Family,
  ways: readonly Way[],
  { nodePort, staySeconds }: { readonly nodePort: number; readonly staySeconds: number | undefined },
): Aim {
  const isUniform = ways.every(({ port }) => port === nodePort);
  const addresses = ways.map(({ address }) => canonical(address));
  const ports = isUniform ? undefined : ways.map(({ port }) => port);
  const text = addresses.map((address, i) => (ports ? `${address}/${ports[i]}` : address)).join(' ');
  const way = staySeconds === undefined ? 'turn' : `stay ${staySeconds}`;
  return { content: `${family} ${way} ${text}`, family, addresses, ports, staySeconds };
}

/** The groups that listeners are in, and where each group's connections go. */
export class Aims {
  /** By group; those of nodes that have changed are found anew. */
  readonly #shared = new Map<string, Aim>();
  /** Since they were taken last. */
  #news = new Map<string, Aim>();
  /** Grows with each change of nodes. */
  epoch = 0;

  /**
   * The group of all listeners that `kind` fits, whose aim is found once until some node changes; where targets have ports of their own, a
   * group by content.
   */
  shared(kind: string, make: () => Aim): string {
    const had = this.#shared.get(kind);
    if (had) return this.#put(kind, had); // its chain may have gone meanwhile
    const aim = make();
    if (aim.ports) return this.#put(`of ${aim.content}`, aim);
    this.#shared.set(kind, aim);
    return this.#put(kind, aim);
  }

  /** The group of listeners with just these targets. */
  own(aim: Aim): string {
    return this.#put(`of ${aim.content}`, aim);
  }

  nodesChanged(): void {
    this.epoch++;
    this.#shared.clear();
  }

  takeNews(): ReadonlyMap<string, Aim> {
    const news = this.#news;
    this.#news = new Map();
    return news;
  }

  /** What was taken was not put to use. */
  giveBack(news: ReadonlyMap<string, Aim>): void {
    this.#news = new Map([...news, ...this.#news]);
  }

  #put(group: string, aim: Aim): string {
    if (this.#news.get(group) !== aim) this.#news.set(group, aim);
    return group;
  }
}
