import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { repeatableChance } from '../../../src/sandbox/aws/faults.ts';

/** No client of this machine takes a port of this address by itself, so that a door that is shut can be opened again. */
const HOST = '127.77.0.1';

/** Which answers are kept back: AWS has acted, and nobody learns of it. */
export interface DoorRule {
  readonly action: string;
  /** So many are answered before; default 0. */
  readonly after?: number;
}

/** Looks at AWS when such a call has come and before it is passed on. It must not throw. */
export interface DoorWatch {
  readonly action: string;
  readonly look: (parameters: URLSearchParams) => Promise<void>;
}

/**
 * Stands between the controller and an emulator, whichever it is: counts calls by their action, throttles a share of them in the
 * service's own words, keeps answers back, and is shut as if nobody were there.
 */
export class AwsDoor {
  readonly #target: URL;
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #server: http.Server;
  readonly #sockets = new Set<Socket>();
  readonly #counts = new Map<string, number>();
  readonly #chance = repeatableChance(7);
  #port = 0;
  #share = 0;
  #throttled = 0;
  #rule: DoorRule | undefined;
  #watched: DoorWatch | undefined;
  #fitting = 0;
  #kept = 0;
  #isOpen = false;
  #turnedAway = 0;

  constructor(target: string) {
    this.#target = new URL(target);
    this.#server = http.createServer((request, response) => void this.#pass(request, response));
    this.#server.on('connection', (socket) => {
      if (!this.#isOpen) {
        this.#turnedAway++;
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async open(target: string): Promise<AwsDoor> {
    const door = new AwsDoor(target);
    await new Promise<void>((resolve, reject) => door.#server.once('error', reject).listen(0, HOST, resolve));
    door.#port = (door.#server.address() as AddressInfo).port;
    door.unlock();
    return door;
  }

  /** For `AWS_ENDPOINT_URL`. */
  get url(): string {
    return `http://${HOST}:${this.#port}`;
  }

  /** Every connection is cut, and every new one as soon as it is made. */
  lock(): void {
    this.#isOpen = false;
    this.#turnedAway = 0;
    for (const socket of this.#sockets) socket.destroy();
  }

  unlock(): void {
    this.#isOpen = true;
  }

  /** Connections that were turned away since it was locked last. */
  get turnedAway(): number {
    return this.#turnedAway;
  }

  /** @param share from 0 to 1, of all calls */
  throttle(share: number): void {
    this.#share = share;
    this.#throttled = 0;
  }

  get throttled(): number {
    return this.#throttled;
  }

  /** Undefined: everything is answered. */
  keep(rule: DoorRule | undefined): void {
    this.#rule = rule;
    this.#fitting = 0;
    this.#kept = 0;
  }

  /** Answers that were kept back since the rule was set: AWS has acted on each. */
  get kept(): number {
    return this.#kept;
  }

  watch(watched: DoorWatch | undefined): void {
    this.#watched = watched;
  }

  /** Calls by action since the last `forget`; those that were throttled are counted too. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort());
  }

  forget(): void {
    this.#counts.clear();
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
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
    const form = new URLSearchParams(body.toString());
    const action = form.get('Action') ?? '';
    this.#counts.set(action, (this.#counts.get(action) ?? 0) + 1);
    if (this.#chance() < this.#share) {
      this.#throttled++;
      refuse(response, form.get('Version')?.startsWith('2016') ?? false);
      return;
    }
    if (this.#watched?.action === action) await this.#watched.look(form);
    const keep = this.#rule?.action === action && this.#fitting++ >= (this.#rule.after ?? 0);
    this.#ask(request, body, (answer) => {
      if (keep) {
        answer.resume().on('end', () => this.#kept++);
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    }).on('error', () => response.destroy());
  }

  #ask(request: http.IncomingMessage, body: Buffer, heard: (answer: http.IncomingMessage) => void): http.ClientRequest {
    const { hostname, port } = this.#target;
    const { method, url: path, headers } = request;
    const asked = http.request({ hostname, port, method, path, headers, agent: this.#agent }, heard);
    return asked.end(body);
  }
}

/** As EC2 and Elastic Load Balancing each say it. */
function refuse(response: http.ServerResponse, isEc2: boolean): void {
  const error = (code: string) => `<Code>${code}</Code><Message>Rate exceeded</Message>`;
  const xml = isEc2
    ? `<Response><Errors><Error>${error('RequestLimitExceeded')}</Error></Errors><RequestID>0</RequestID></Response>`
    : `<ErrorResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><Error><Type>Sender</Type>${error('Throttling')}</Error><RequestId>0</RequestId></ErrorResponse>`;
  response.writeHead(isEc2 ? 503 : 400, { 'content-type': 'text/xml' }).end(xml);
}
