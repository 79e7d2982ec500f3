import { readFileSync } from 'node:fs';
import https from 'node:https';

export interface GateOptions {
  readonly host: string;
  readonly port: number;
  /** Where requests go, `https://…`. */
  readonly target: string;
  readonly keyFile: string;
  readonly certificateFile: string;
}

/** Which answers are kept back. */
export interface GateRule {
  readonly method: string;
  /** Regular expression over path and query. */
  readonly path: string;
  /** So many that fit are answered before; default 0. */
  readonly after?: number;
  /** The request is not passed on either: the API server never hears of it. Default false. */
  readonly unheard?: boolean;
}

/**
 * Stands between a client and the API server with that server's own certificate. While a rule is set, a request that fits is
 * passed on and acted upon, and its answer never comes back: what a client meets that dies, or loses the network, just then. With
 * `unheard` it is lost on the way there.
 */
export class Gate {
  readonly #server: https.Server;
  #rule: GateRule | undefined;
  #kept = 0;
  #seen = 0;

  private constructor(options: GateOptions) {
    const key = readFileSync(options.keyFile);
    const cert = readFileSync(options.certificateFile);
    this.#server = https.createServer({ key, cert }, (request, response) => {
      const keep = this.#fits(request.method ?? '', request.url ?? '');
      if (keep && this.#rule?.unheard) {
        request.resume().on('end', () => this.#kept++);
        return;
      }
      const passed = https.request(`${options.target}${request.url}`, {
        method: request.method,
        headers: request.headers,
        ca: cert,
      });
      passed.on('response', (answer) => {
        if (keep) {
          answer.resume().on('end', () => this.#kept++);
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders(); // a watch may have nothing to say for long
        answer.pipe(response);
      });
      passed.on('error', () => response.destroy());
      response.on('close', () => passed.destroy());
      request.pipe(passed);
    });
  }

  static open(options: GateOptions): Promise<Gate> {
    const gate = new Gate(options);
    return new Promise((resolve, reject) => {
      gate.#server.on('error', reject);
      gate.#server.listen(options.port, options.host, () => resolve(gate));
    });
  }

  /** Undefined: everything passes. */
  keep(rule: GateRule | undefined): void {
    this.#rule = rule;
    this.#kept = 0;
    this.#seen = 0;
  }

  /** How many answers were kept back since the rule was set: the API server has acted on each, unless they are `unheard`. */
  get kept(): number {
    return this.#kept;
  }

  #fits(method: string, path: string): boolean {
    if (this.#rule?.method !== method || !new RegExp(this.#rule.path).test(path)) return false;
    return this.#seen++ >= (this.#rule.after ?? 0);
  }
}
