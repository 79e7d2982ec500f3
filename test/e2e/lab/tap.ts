import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

/** One request that went through. */
export interface Passed {
  /** Milliseconds since the epoch, when it had arrived whole. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

/** A rule that holds answers back until it is let go. */
export interface Hold {
  /** Resolves when the other end has acted on a request that fits, and its answer is held. */
  readonly met: Promise<Passed>;
  release(): void;
}

interface Rule {
  readonly fits: (request: Passed) => boolean;
  readonly met: (request: Passed) => void;
  readonly released: Promise<void>;
}

/** Stands between one process and a server on loopback: notes every request, and can hold answers back. Streams pass through. */
export class Tap {
  readonly passed: Passed[] = [];
  readonly #target: URL;
  readonly #agent: http.Agent;
  readonly #server: http.Server;
  readonly #rules = new Set<Rule>();

  private constructor(target: string) {
    this.#target = new URL(target);
    const secure = this.#target.protocol === 'https:';
    this.#agent = secure ? new https.Agent({ keepAlive: true, rejectUnauthorized: false }) : new http.Agent({ keepAlive: true });
    this.#server = http.createServer((request, response) => void this.#pass(request, response));
  }

  static async open(target: string): Promise<Tap> {
    const tap = new Tap(target);
    await new Promise<void>((resolve, reject) => tap.#server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return tap;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Holds the answers to all requests that fit from now on. */
  hold(fits: (request: Passed) => boolean): Hold {
    const met = Promise.withResolvers<Passed>();
    const released = Promise.withResolvers<void>();
    const rule: Rule = { fits, met: met.resolve, released: released.promise };
    this.#rules.add(rule);
    const release = (): void => {
      this.#rules.delete(rule);
      released.resolve();
    };
    return { met: met.promise, release };
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #pass(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      return; // the caller has gone
    }
    const body = Buffer.concat(chunks);
    const passed = { at: Date.now(), method: request.method ?? '', path: request.url ?? '', body: body.toString() };
    this.passed.push(passed);
    const rule = [...this.#rules].find(({ fits }) => fits(passed));
    const { hostname, port, protocol } = this.#target;
    const { method, url: path, headers } = request;
    const ask = protocol === 'https:' ? https.request : http.request;
    const asked = ask({ hostname, port, method, path, headers, agent: this.#agent, rejectUnauthorized: false }, (answer) => {
      rule?.met(passed);
      void (rule?.released ?? Promise.resolve()).then(() => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders(); // a watch has nothing to say yet
        answer.pipe(response);
      });
    });
    asked.on('error', () => response.destroy());
    response.on('close', () => asked.destroy());
    asked.end(body);
  }
}
