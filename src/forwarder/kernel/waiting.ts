import { describePortHolder } from '../port-holder.ts';
import type { KernelListener } from './listener.ts';
import { portInUse } from './machine.ts';

/** Listeners whose port is not free. */
export class Waiting {
  readonly #all = new Set<KernelListener>();

  get size(): number {
    return this.#all.size;
  }

  /** @param holder who has the port; undefined: that is found out, and told later */
  add(listener: KernelListener, holder: string | undefined): void {
    this.#all.add(listener);
    const tell = (by: string) => listener.failed(portInUse(listener.rule, by));
    if (holder !== undefined) tell(holder);
    else void describePortHolder(listener.rule).then((by) => this.#all.has(listener) && tell(by));
  }

  /** @returns false when it did not wait */
  delete(listener: KernelListener): boolean {
    return this.#all.delete(listener);
  }

  /** Those that wait for this port, or all; they wait no more. */
  take(key?: string): readonly KernelListener[] {
    const taken = [...this.#all].filter((listener) => key === undefined || listener.key === key);
    for (const listener of taken) this.#all.delete(listener);
    return taken;
  }
}
