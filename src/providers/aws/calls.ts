import { EC2Client } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { type Ec2Action, type ElbAction, ec2Actions, elbActions } from './actions.ts';
import { refuseWithoutCredentials } from './credentials.ts';
import { toFailure } from './failures.ts';
import { type Buckets, Limiter } from './limiter.ts';

/** Where the calls go; what is not said the SDK finds in its usual places. */
export interface Connection {
  readonly region?: string;
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Tries of one call, the first included. */
  readonly attempts?: number;
}

/** The SDK waits between its tries, and only throttling and failures of AWS itself are tried again. */
const ATTEMPTS = 8;

/** This process does not lead, so that it changes nothing. */
export class WriteWithheld extends Error {
  override readonly name = 'WriteWithheld';
}

/** The provider was closed while this was on its way. */
export class CallsClosed extends Error {
  override readonly name = 'CallsClosed';
}

/** The two services. Every call waits for its turn in the account's bucket, and its failure becomes one of ours. */
export class AwsCalls {
  readonly #elb: ElasticLoadBalancingV2Client;
  readonly #ec2: EC2Client;
  readonly #limiter: Limiter;
  /** Names of actions that AWS has carried out once: as many as there are actions. */
  readonly #allowed = new Set<string>();
  #isClosed = false;
  readonly #told: (action: string, outcome: string) => void;

  /** @param told of every call that has ended, by action, with `ok` or AWS's name of the error */
  constructor(connection: Connection, buckets: Buckets, told: (action: string, outcome: string) => void = () => {}) {
    const { attempts = ATTEMPTS, ...rest } = connection;
    const settings = { ...rest, maxAttempts: attempts };
    this.#elb = new ElasticLoadBalancingV2Client(settings);
    this.#ec2 = new EC2Client(settings);
    this.#limiter = new Limiter(buckets);
    this.#told = told;
    this.#beforeEach('refuseAfterClose', (action) => {
      if (this.#isClosed) throw new CallsClosed(`${action} is not sent, because the provider has been closed`);
    });
  }

  /** @throws {import('../../errors.ts').Refusal | import('./failures.ts').AwsFault} */
  elb<T>(action: ElbAction, send: (client: ElasticLoadBalancingV2Client) => Promise<T>): Promise<T> {
    return this.#call(`elasticloadbalancing:${action}`, this.#elb, () =>
      this.#limiter.take(elbActions[action]).then(() => send(this.#elb)),
    );
  }

  /** @throws {import('../../errors.ts').Refusal | import('./failures.ts').AwsFault} */
  ec2<T>(action: Ec2Action, send: (client: EC2Client) => Promise<T>): Promise<T> {
    return this.#call(`ec2:${action}`, this.#ec2, () => this.#limiter.take(ec2Actions[action]).then(() => send(this.#ec2)));
  }

  /** @param mayWrite asked right before each request that is no read, the SDK's own repeats included; false: it is not sent */
  withholdWrites(mayWrite: () => boolean): void {
    this.#beforeEach('withholdWrites', (action) => {
      if (action.startsWith('Describe') || mayWrite()) return;
      throw new WriteWithheld(`${action} is not sent, because the leader's Lease is not held`);
    });
  }

  #beforeEach(name: string, check: (action: string) => void): void {
    const middleware =
      <A, R>(next: (args: A) => R, { commandName = '' }: { readonly commandName?: string }) =>
      (args: A): R => {
        check(commandName.replace(/Command$/, ''));
        return next(args);
      };
    // Inside the middleware that repeats, which is of this step too.
    const place = { relation: 'after', toMiddleware: 'retryMiddleware', name } as const;
    this.#elb.middlewareStack.addRelativeTo(middleware, place);
    this.#ec2.middlewareStack.addRelativeTo(middleware, place);
  }

  /** The region that the SDK has settled on. @throws {Error} when there is none */
  region(): Promise<string> {
    return this.#elb.config.region();
  }

  /** @param name as IAM has it, such as `ec2:DescribeSubnets` */
  wasAllowed(name: string): boolean {
    return this.#allowed.has(name);
  }

  /** Whoever still wants to call is turned away, and repeats nothing. */
  close(): void {
    this.#isClosed = true;
    this.#elb.destroy();
    this.#ec2.destroy();
  }

  async #call<T>(name: string, client: ElasticLoadBalancingV2Client | EC2Client, send: () => Promise<T>): Promise<T> {
    await this.#identify(name, client);
    try {
      const answer = await send();
      this.#allowed.add(name);
      this.#told(name, 'ok');
      return answer;
    } catch (thrown) {
      this.#told(name, thrown instanceof Error ? thrown.name : 'unknown');
      throw toFailure(name, thrown);
    }
  }

  /** The SDK keeps credentials until five minutes before their end; what fails here would look like the call's own failure. */
  async #identify(name: string, client: ElasticLoadBalancingV2Client | EC2Client): Promise<void> {
    try {
      await client.config.credentials();
    } catch (thrown) {
      this.#told(name, thrown instanceof Error ? thrown.name : 'unknown');
      throw refuseWithoutCredentials(thrown, process.env);
    }
  }
}
