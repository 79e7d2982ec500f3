import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { explain } from '../errors.ts';
import { type Connections, destroy, openConnections, retire, type TlsMaterial } from './transport.ts';

/** What a request needs to be let in, as it is now. */
export interface Material {
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly tls: TlsMaterial;
}

/** Where credentials come from. */
export interface CredentialSource {
  readonly origin: string;
  readonly proxyUrl?: string;
  /** The source answers differently after this time: token files rotate, exec plugins' tokens expire. */
  readonly freshMs: number;
  /** From its caches while they are valid. @param anew what the caches hold was not accepted */
  load(anew: boolean): Promise<Material>;
}

/** Credentials and the connections that were made with them. */
export interface Session {
  readonly headers: Material['headers'];
  readonly connections: Connections;
}

/** There are no credentials to be had. */
export class NoCredentials extends Error {
  override readonly name = 'NoCredentials';
}

/** An exec plugin is not asked again sooner than this after the API server has refused what it gave. */
const RENEW_EVERY_MS = 10_000;

/** Keeps credentials fresh without a price per call: between refreshes a session is the same object. */
export class Credentials {
  readonly #source: CredentialSource;
  readonly #now: () => number;
  #session: Session | undefined;
  #tls: TlsMaterial = {};
  #loadedAt = Number.NEGATIVE_INFINITY;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<Session> | undefined;

  /** @param now milliseconds that never go back */
  constructor(source: CredentialSource, now: () => number = () => performance.now()) {
    this.#source = source;
    this.#now = now;
  }

  /** The session to send with; a value, not a promise, as long as it is fresh. */
  current(): Session | Promise<Session> {
    if (this.#session && this.#now() - this.#loadedAt < this.#source.freshMs) return this.#session;
    return this.#load(false);
  }

  /**
   * The API server has answered 401 to `refused`.
   * @returns other credentials to try with, or undefined when there are none (yet)
   */
  async renew(refused: Session): Promise<Session | undefined> {
    if (this.#session && this.#session.headers !== refused.headers) return this.#session; // somebody else has renewed them meanwhile
    if (!this.#loading) {
      if (this.#now() - this.#renewedAt < RENEW_EVERY_MS) return undefined;
      this.#renewedAt = this.#now();
    }
    return this.#load(true);
  }

  async close(): Promise<void> {
    if (this.#session) await destroy(this.#session.connections);
  }

  #load(anew: boolean): Promise<Session> {
    this.#loading ??= this.#source
      .load(anew)
      .then((material) => this.#take(material))
      .catch((error: unknown) => this.#keep(error, anew))
      .finally(() => {
        this.#loading = undefined;
      });
    return this.#loading;
  }

  /** What we have may well be valid still; if it is not, the 401 will ask again and the error will be told. */
  #keep(error: unknown, anew: boolean): Session {
    if (anew || !this.#session) throw new NoCredentials(explain(error), { cause: error });
    this.#loadedAt = this.#now();
    return this.#session;
  }

  #take(material: Material): Session {
    this.#loadedAt = this.#now();
    const had = this.#session;
    if (had && isDeepStrictEqual(this.#tls, material.tls)) {
      // The same object as long as nothing has changed: `renew` tells by it who has seen which credentials.
      if (!isDeepStrictEqual(had.headers, material.headers)) this.#session = { ...had, headers: material.headers };
    } else {
      createSecureContext(material.tls); // a key that does not fit is told here, not by every connection
      this.#tls = material.tls;
      const connections = openConnections(this.#source.origin, material.tls, this.#source.proxyUrl);
      this.#session = { headers: material.headers, connections };
      if (had) void retire(had.connections);
    }
    return this.#session!;
  }
}
