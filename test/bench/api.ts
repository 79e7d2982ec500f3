import { readFileSync } from 'node:fs';
import { Pool } from 'undici';
import { splitJsonLines } from '../../src/kube/lines.ts';
import { at, list, text } from '../../src/kube/objects.ts';
import type { ApiAccess } from './ground.ts';

/** Requests under way at one time, as many with the controller as without. */
export const CONCURRENCY = 32;

/** The benchmark's own client: the person or pipeline that creates Services. */
export class BenchApi {
  readonly #calls: Pool;
  readonly #watches: Pool;
  readonly #headers: Record<string, string>;

  constructor({ url, token, caFile }: ApiAccess) {
    const connect = caFile === undefined ? {} : { ca: readFileSync(caFile) };
    this.#calls = new Pool(url, { connections: CONCURRENCY, connect });
    this.#watches = new Pool(url, { connect, bodyTimeout: 0, headersTimeout: 0 });
    this.#headers = { accept: 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
  }

  create(path: string, object: object): Promise<string> {
    return this.#call('POST', path, JSON.stringify(object));
  }

  delete(path: string): Promise<string> {
    return this.#call('DELETE', path);
  }

  patch(path: string, body: object): Promise<string> {
    return this.#call('PATCH', path, JSON.stringify(body), 'application/strategic-merge-patch+json');
  }

  get(path: string): Promise<string> {
    return this.#call('GET', path);
  }

  /** Follows a collection from now until `signal` aborts. Resolves when the server has accepted the watch. */
  async watch(path: string, signal: AbortSignal, onEvent: (type: string, object: unknown) => void): Promise<void> {
    const listed = JSON.parse(await this.get(`${path}?limit=1`)) as unknown;
    const version = text(at(at(listed, 'metadata'), 'resourceVersion'));
    const answer = await this.#watches.request({
      method: 'GET',
      path: `${path}?watch=true&resourceVersion=${version}&timeoutSeconds=7200`,
      headers: this.#headers,
      signal,
    });
    if (answer.statusCode !== 200) throw new Error(`watch ${path}: ${answer.statusCode} ${await answer.body.text()}`);
    const take = splitJsonLines((event) => onEvent(text(at(event, 'type')), at(event, 'object')));
    answer.body.on('data', take);
    answer.body.on('error', () => {}); // aborted, or the worker's deadline tells
  }

  async close(): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#watches.destroy()]);
  }

  async #call(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: string,
    type = 'application/json',
  ): Promise<string> {
    const headers = { ...this.#headers, 'content-type': type };
    const answer = await this.#calls.request({ method, path, headers, ...(body === undefined ? {} : { body }) });
    const said = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${said.slice(0, 300)}`);
    return said;
  }
}

/** Runs `task` for 0 to count - 1, `CONCURRENCY` at a time. */
export async function inParallel(count: number, task: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, CONCURRENCY) }, work));
}

/** When each Service of a namespace got its address, by the benchmark's own watch. */
export class AddressWatch {
  /** `performance.now()` by name. */
  readonly seenAt = new Map<string, number>();
  readonly #alive = new Set<string>();
  readonly #ended = new AbortController();
  #changed: () => void = () => {};

  static async open(api: BenchApi, namespace: string): Promise<AddressWatch> {
    const watch = new AddressWatch();
    await api.watch(`/api/v1/namespaces/${namespace}/services`, watch.#ended.signal, (type, object) => watch.#take(type, object));
    return watch;
  }

  /** @returns when the last of `count` Services got its address */
  async all(count: number, withinMs: number): Promise<number> {
    await this.#until(
      () => this.seenAt.size >= count,
      withinMs,
      () => `${this.seenAt.size} of ${count} have an address`,
    );
    return Math.max(...this.seenAt.values());
  }

  async one(name: string, withinMs: number): Promise<number> {
    await this.#until(
      () => this.seenAt.has(name),
      withinMs,
      () => `${name} has no address`,
    );
    return this.seenAt.get(name) ?? Number.NaN;
  }

  async gone(withinMs: number): Promise<void> {
    await this.#until(
      () => this.#alive.size === 0,
      withinMs,
      () => `${this.#alive.size} are still there`,
    );
  }

  close(): void {
    this.#ended.abort();
  }

  #take(type: string, object: unknown): void {
    const name = text(at(at(object, 'metadata'), 'name'));
    if (type === 'DELETED') this.#alive.delete(name);
    else this.#alive.add(name);
    const ingress = list(at(at(at(object, 'status'), 'loadBalancer'), 'ingress'));
    if (type !== 'DELETED' && ingress.length > 0 && !this.seenAt.has(name)) this.seenAt.set(name, performance.now());
    this.#changed();
  }

  #until(condition: () => boolean, withinMs: number, what: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not within ${withinMs} ms: ${what()}`)), withinMs);
      this.#changed = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#changed = () => {};
        resolve();
      };
      this.#changed();
    });
  }
}
