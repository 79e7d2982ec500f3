import { type CallName, everyCall, type KubeApi, KubeError, type Page, type WatchEvent } from '../../src/kube/api.ts';
import { at, text } from '../../src/kube/objects.ts';

type Raw = { readonly metadata: Record<string, unknown> } & Record<string, unknown>;
type Change = { readonly version: number; readonly resource: string; readonly event: WatchEvent };
type Watcher = {
  readonly resource: string;
  readonly namespace: string;
  feed(event: WatchEvent): void;
  end(error?: KubeError): void;
};

/**
 * The API server's promises without HTTP: versions that rise, consistent pages, watches from a version with a history that can
 * be compacted, optimistic locking, and refusals on demand.
 */
export class MemoryApi implements KubeApi {
  readonly where = { context: 'memory', server: 'memory://' };
  /** Asked before each call; what it returns is thrown. */
  refuse: (call: CallName, namespace: string) => Error | undefined = () => undefined;
  /** Awaited before each call. */
  pace: () => Promise<void> = async () => {};
  #objects = new Map<string, Raw>();
  #history: Change[] = [];
  readonly #watchers = new Set<Watcher>();
  #version = 100;
  #compacted = 0;
  #uid = 0;

  /** Creates or replaces, as somebody else would. */
  set(resource: string, object: { metadata: Record<string, unknown> } & Record<string, unknown>): Raw {
    const key = keyOf(resource, text(object.metadata['namespace']), text(object.metadata['name']));
    const had = this.#objects.get(key);
    this.#version += 1;
    this.#uid += had ? 0 : 1;
    const uid = had ? at(had.metadata, 'uid') : `uid-${this.#uid}`;
    const stored: Raw = { ...object, metadata: { uid, ...object.metadata, resourceVersion: String(this.#version) } };
    this.#objects.set(key, stored);
    this.#tell(resource, { type: had ? 'MODIFIED' : 'ADDED', object: stored });
    return stored;
  }

  delete(resource: string, namespace: string, name: string): void {
    const key = keyOf(resource, namespace, name);
    const had = this.#objects.get(key);
    if (!had) return;
    this.#version += 1;
    this.#objects.delete(key);
    const object = { ...had, metadata: { ...had.metadata, resourceVersion: String(this.#version) } };
    this.#tell(resource, { type: 'DELETED', object });
  }

  all(resource: string): readonly Raw[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${resource} `)).map(([, object]) => object);
  }

  /** What is older than now can be neither watched from nor paged on. */
  compact(): void {
    this.#compacted = this.#version;
    this.#history = [];
  }

  /** Ends every watch; without an error as a server that shuts down in order. */
  endWatches(error?: KubeError): void {
    for (const watcher of [...this.#watchers]) watcher.end(error);
  }

  /** Sends to every watch. */
  send(event: WatchEvent): void {
    for (const watcher of [...this.#watchers]) watcher.feed(event);
  }

  bookmark(): void {
    this.send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(this.#version) } } });
  }

  /** As etcd restored from a backup: the history begins anew, at lower versions. */
  restore(objects: Readonly<Record<string, readonly Raw[]>>, version: number): void {
    this.#objects = new Map();
    for (const [resource, raws] of Object.entries(objects)) {
      for (const raw of raws)
        this.#objects.set(keyOf(resource, text(raw.metadata['namespace']), text(raw.metadata['name'])), raw);
    }
    this.#version = version;
    this.#compacted = version;
    this.#history = [];
    this.endWatches(new KubeError(0, 'Unreachable', 'restarting'));
  }

  get watching(): number {
    return this.#watchers.size;
  }

  async list(call: CallName, namespace: string, query: { readonly limit?: number; readonly next?: string }): Promise<Page> {
    await this.#enter(call, namespace);
    const { resource } = everyCall[call];
    const [from = 0, version = this.#version] = query.next ? query.next.split('@').map(Number) : [];
    if (version < this.#compacted) throw new KubeError(410, 'Expired', 'the continue token is too old');
    const matching = this.all(resource).filter((raw) => namespace === '' || raw.metadata['namespace'] === namespace);
    const to = Math.min(matching.length, from + (query.limit ?? matching.length));
    return {
      items: matching.slice(from, to),
      resourceVersion: String(version),
      next: to < matching.length ? `${to}@${version}` : '',
    };
  }

  async watch(
    call: CallName,
    namespace: string,
    query: { readonly resourceVersion: string },
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
    onOpen?: () => void,
  ): Promise<void> {
    await this.#enter(call, namespace);
    const { resource } = everyCall[call];
    onOpen?.();
    const from = Number(query.resourceVersion);
    if (from < this.#compacted || from > this.#version) {
      onEvent({
        type: 'ERROR',
        object: { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${from}` },
      });
      throw new KubeError(410, 'Expired', 'too old resource version');
    }
    const concerns = (event: WatchEvent): boolean =>
      event.type === 'BOOKMARK' || namespace === '' || at(at(event.object, 'metadata'), 'namespace') === namespace;
    for (const change of this.#history) {
      if (change.version > from && change.resource === resource && concerns(change.event)) onEvent(change.event);
    }
    await new Promise<void>((resolve, reject) => {
      const watcher: Watcher = {
        resource,
        namespace,
        feed: (event) => concerns(event) && onEvent(event),
        end: (error) => {
          this.#watchers.delete(watcher);
          if (error) reject(error);
          else resolve();
        },
      };
      this.#watchers.add(watcher);
      signal.addEventListener('abort', () => watcher.end(new KubeError(0, 'Unreachable', 'given up')));
      if (signal.aborted) watcher.end(new KubeError(0, 'Unreachable', 'given up'));
    });
  }

  async get(call: CallName, namespace: string, name: string): Promise<unknown> {
    await this.#enter(call, namespace);
    return this.#find(everyCall[call].resource, namespace, name);
  }

  async create(call: CallName, namespace: string, body: object): Promise<unknown> {
    await this.#enter(call, namespace);
    const name = text(at(at(body, 'metadata'), 'name'));
    const { resource } = everyCall[call];
    if (this.#objects.has(keyOf(resource, namespace, name))) throw new KubeError(409, 'AlreadyExists', `${name} exists`);
    return this.set(resource, { ...body, metadata: { ...(at(body, 'metadata') as object), namespace } });
  }

  async update(call: CallName, namespace: string, name: string, body: object): Promise<unknown> {
    await this.#enter(call, namespace);
    const { resource } = everyCall[call];
    const had = this.#find(resource, namespace, name);
    const version = at(at(body, 'metadata'), 'resourceVersion');
    if (version !== undefined && version !== had.metadata['resourceVersion']) {
      throw new KubeError(409, 'Conflict', `${name} has been modified`);
    }
    return this.set(resource, { ...body, metadata: { ...(at(body, 'metadata') as object), namespace, name } });
  }

  /** Top-level fields only: all that these tests patch. */
  async patch(call: CallName, namespace: string, name: string, body: object): Promise<unknown> {
    await this.#enter(call, namespace);
    const { resource } = everyCall[call];
    return this.set(resource, { ...this.#find(resource, namespace, name), ...body });
  }

  async close(): Promise<void> {
    this.endWatches();
  }

  async #enter(call: CallName, namespace: string): Promise<void> {
    await this.pace();
    const refusal = this.refuse(call, namespace);
    if (refusal) throw refusal;
  }

  #find(resource: string, namespace: string, name: string): Raw {
    const found = this.#objects.get(keyOf(resource, namespace, name));
    if (!found) throw new KubeError(404, 'NotFound', `${resource} ${name} not found`);
    return found;
  }

  #tell(resource: string, event: WatchEvent): void {
    this.#history.push({ version: this.#version, resource, event });
    for (const watcher of [...this.#watchers]) if (watcher.resource === resource) watcher.feed(event);
  }
}

function keyOf(resource: string, namespace: string, name: string): string {
  return `${resource} ${namespace}/${name}`;
}

/** A log that keeps its lines. */
export function keepLog(): { lines: string[] } & Record<
  'debug' | 'info' | 'warn' | 'error',
  (fields: object, message: string) => void
> {
  const lines: string[] = [];
  const at = (level: string) => (fields: object, message: string) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
