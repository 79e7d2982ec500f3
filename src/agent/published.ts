import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../errors.ts';
import { type KubeApi, KubeError } from '../kube/api.ts';
import { at, text } from '../kube/objects.ts';
import type { Log } from '../providers/provider.ts';

/** Between two writes of one object: a burst of changes is one write. */
const PACE_MS = 500;
/** So long news are gathered before the first write after a quiet time. */
const GATHER_MS = 50;
const RETRY_MS = { least: 500, most: 15_000 } as const;
const REPEAT_LOG_MS = 60_000;

export interface PublishedOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly name: string;
  /** Labels and owners. */
  metadata(): object;
  /** The one key of the ConfigMap's data. */
  readonly key: string;
  readonly log: Log;
}

/**
 * One text in a ConfigMap that only this process writes: written when it differs from what was written last, at most twice a
 * second, and tried again until it is there.
 */
export class Published {
  readonly #options: PublishedOptions;
  readonly #stopping = new AbortController();
  /** Makes the newest text; called just before a write, so that nothing is rendered in vain. */
  #render: (() => string) | undefined;
  #running: Promise<void> | undefined;
  #written: string | undefined;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  /** Metadata of the object as it was last written; undefined: it must be read first. */
  #found: unknown;
  #failures = 0;
  #logged = { message: '', at: Number.NEGATIVE_INFINITY };
  readonly #first = Promise.withResolvers<void>();

  constructor(options: PublishedOptions) {
    this.#options = options;
  }

  /** Resolves when something has been written, or was found to be there already. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Says that there may be news. @param render makes the text that shall be there */
  put(render: () => string): void {
    this.#render = render;
    if (!this.#stopping.signal.aborted) this.#running ??= this.#work().finally(() => this.#again());
  }

  /** Nothing is written from now on. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #again(): void {
    this.#running = undefined;
    if (this.#render) this.put(this.#render);
  }

  async #work(): Promise<void> {
    await this.#pause(Math.max(GATHER_MS, this.#writtenAtMs + PACE_MS - performance.now()));
    while (this.#render && !this.#stopping.signal.aborted) {
      const render = this.#render;
      this.#render = undefined;
      const wanted = render();
      try {
        if (wanted !== this.#written) await this.#write(wanted);
        this.#failures = 0;
        this.#first.resolve();
      } catch (thrown) {
        this.#render ??= render;
        await this.#recover(thrown);
      }
    }
  }

  async #write(wanted: string): Promise<void> {
    const { api, namespace, name, key } = this.#options;
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, ...this.#options.metadata() },
      data: { [key]: wanted },
    };
    const answer =
      this.#found === undefined
        ? await this.#adopt(wanted, body)
        : await api.update('updateConfigMap', namespace, name, this.#guarded(body, this.#found));
    this.#found = at(answer, 'metadata');
    this.#written = wanted;
    this.#writtenAtMs = performance.now();
  }

  /** After a start: what is there already is read, and made if it is not. */
  async #adopt(wanted: string, body: object & { readonly metadata: object }): Promise<unknown> {
    const { api, namespace, name, key } = this.#options;
    let found: unknown;
    try {
      found = await api.get('getConfigMap', namespace, name);
    } catch (thrown) {
      if (!(thrown instanceof KubeError) || thrown.status !== 404) throw thrown;
      return api.create('createConfigMap', namespace, body);
    }
    if (at(at(found, 'data'), key) === wanted) return found;
    return api.update('updateConfigMap', namespace, name, this.#guarded(body, at(found, 'metadata')));
  }

  /** Labels and annotations of others stay: Helm removes only what carries its own. */
  #guarded(body: object & { readonly metadata: object }, found: unknown): object {
    const labels = { ...(at(found, 'labels') as object | undefined), ...(at(body.metadata, 'labels') as object | undefined) };
    const annotations = at(found, 'annotations');
    const resourceVersion = text(at(found, 'resourceVersion'));
    return { ...body, metadata: { ...body.metadata, labels, ...(annotations ? { annotations } : {}), resourceVersion } };
  }

  async #recover(thrown: unknown): Promise<void> {
    this.#found = undefined;
    this.#written = undefined;
    this.#failures += 1;
    const message = explain(thrown);
    const now = performance.now();
    if (message !== this.#logged.message || now - this.#logged.at > REPEAT_LOG_MS) {
      this.#logged = { message, at: now };
      this.#options.log.warn(
        { configMap: `${this.#options.namespace}/${this.#options.name}` },
        `could not be written: ${message}; trying again`,
      );
    }
    await this.#pause(Math.min(RETRY_MS.most, RETRY_MS.least * 2 ** Math.min(this.#failures - 1, 10)));
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => {}); // woken to stop
  }
}
