import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../errors.ts';
import { type HttpOptions, type HttpServer, serveHttp } from './http.ts';

/** Whoever has the port has drained and ended by then. */
const PATIENCE_MS = 90_000;
const RETRY_MS = 1_000;

interface Log {
  warn(fields: object, message: string): void;
}

/** A server that may still wait for its port. */
export interface LateHttp {
  /** Rejects when the address cannot be had. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

/**
 * As `serveHttp`, where the port may still be that of a process whose place this one takes and that keeps it until its end.
 * @param at undefined: nothing is served
 */
export function serveHttpSoon(
  at: { readonly host: string; readonly port: number } | undefined,
  options: Omit<HttpOptions, 'host' | 'port'>,
  log: Log,
): LateHttp {
  const ending = new AbortController();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {}); // nobody may be waiting any more
  const untilMs = performance.now() + PATIENCE_MS;
  const open = async (isFirst: boolean): Promise<HttpServer | undefined> => {
    try {
      return at && (await serveHttp({ ...at, ...options }));
    } catch (thrown) {
      const isTaken = ((thrown as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE';
      if (!isTaken || performance.now() > untilMs) throw thrown;
      if (isFirst) log.warn({ error: explain(thrown) }, 'trying again for a while: its holder may be about to end');
      await sleep(RETRY_MS, undefined, { signal: ending.signal }).catch(() => {}); // woken to end
      return ending.signal.aborted ? undefined : open(false);
    }
  };
  const server = open(true).catch((thrown: unknown) => void failed.reject(thrown));
  return {
    failed: failed.promise,
    close: async () => {
      ending.abort();
      await (await server)?.close();
    },
  };
}
