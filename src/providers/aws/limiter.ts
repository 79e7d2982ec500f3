import type { ApiFamily, CallRate } from '../../config/throttle.ts';

/**
 * The account's buckets, which all Services share; AWS gives each account and region these.
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/elb-api-throttling.html
 * @see https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
 */
export const usualBuckets = {
  describe: { burst: 40, perSecond: 10 },
  register: { burst: 20, perSecond: 4 },
  modify: { burst: 20, perSecond: 3 },
  create: { burst: 20, perSecond: 5 },
  readEc2: { burst: 50, perSecond: 10 },
  writeEc2: { burst: 50, perSecond: 5 },
} as const satisfies Record<ApiFamily, CallRate>;

export type Buckets = Readonly<Record<ApiFamily, CallRate>>;

/** Lets calls through in the order in which they came, none faster than AWS would take them. Waiting is all that it does. */
export class Limiter {
  readonly #buckets: ReadonlyMap<ApiFamily, Bucket>;

  constructor(sizes: Buckets) {
    this.#buckets = new Map((Object.keys(sizes) as ApiFamily[]).map((name) => [name, new Bucket(sizes[name])]));
  }

  take(name: ApiFamily): Promise<void> {
    return this.#buckets.get(name)!.take();
  }
}

class Bucket {
  readonly #size: CallRate;
  #tokens: number;
  #filledAt = performance.now();
  /** As long as there are balancers at work. */
  readonly #queue: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(size: CallRate) {
    this.#size = size;
    this.#tokens = size.burst;
  }

  take(): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push(resolve);
      this.#serve();
    });
  }

  #serve(): void {
    if (this.#timer) return;
    this.#refill();
    while (this.#tokens >= 1 && this.#queue.length > 0) {
      this.#tokens -= 1;
      this.#queue.shift()!();
    }
    if (this.#queue.length === 0) return;
    const waitMs = Math.ceil(((1 - this.#tokens) / this.#size.perSecond) * 1_000);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#serve();
    }, waitMs);
  }

  #refill(): void {
    const now = performance.now();
    const more = ((now - this.#filledAt) / 1_000) * this.#size.perSecond;
    this.#tokens = Math.min(this.#size.burst, this.#tokens + more);
    this.#filledAt = now;
  }
}
