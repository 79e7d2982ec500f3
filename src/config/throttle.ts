import { type Kind, splitItems } from './kinds.ts';
import { suggest } from './nearest.ts';

/** Families of AWS calls that share a token bucket of the account. */
export const apiFamilies = ['describe', 'register', 'modify', 'create', 'readEc2', 'writeEc2'] as const;
export type ApiFamily = (typeof apiFamilies)[number];

/** A token bucket as AWS has them: a burst, and so many calls more each second. */
export interface CallRate {
  /** 0.1 to 10,000 */
  readonly perSecond: number;
  /** 1 to 10,000 */
  readonly burst: number;
}

/** What the author names; the others keep what AWS gives each account. */
export type ApiThrottle = Readonly<Partial<Record<ApiFamily, CallRate>>>;

const MOST = 10_000;
const LEAST_PER_SECOND = 0.1;

/** `FAMILY=RATE:BURST` pairs between commas as flag and variable, in the file also a map. */
export const throttleKind: Kind<ApiThrottle> = {
  type: 'map',
  metavar: 'FAMILY=RATE:BURST,…',
  allowed: `FAMILY=RATE:BURST pairs, separated by commas; families: ${apiFamilies.join(', ')}; in the file a map`,
  shape: 'list',
  read(raw, fault) {
    const pairs = isMap(raw) ? Object.entries(raw) : splitItems(raw)?.map((item) => splitPair(item));
    if (!pairs) {
      fault(`must be ${throttleKind.allowed}`);
      return undefined;
    }
    const rates: Partial<Record<ApiFamily, CallRate>> = {};
    let sound = true;
    for (const [name, value] of pairs) {
      const family = apiFamilies.find((one) => one === name);
      const rate = readRate(value);
      if (family && rate) rates[family] = rate;
      else {
        sound = false;
        if (family)
          fault(
            `must be RATE:BURST: calls a second from ${LEAST_PER_SECOND} to ${MOST}, and how many at once from 1 to ${MOST}`,
            { value, inside: name },
          );
        else fault(`must be one of ${apiFamilies.join(', ')}${suggest(name, apiFamilies)}`, { value: name });
      }
    }
    return sound ? rates : undefined;
  },
};

function splitPair(item: string): readonly [string, string] {
  const at = item.indexOf('=');
  return at < 0 ? [item, ''] : [item.slice(0, at), item.slice(at + 1)];
}

function isMap(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}

function readRate(value: unknown): CallRate | undefined {
  const match = typeof value === 'string' ? /^(\d{1,5}(?:\.\d{1,3})?):(\d{1,5})$/.exec(value) : null;
  const [perSecond, burst] = [Number(match?.[1]), Number(match?.[2])];
  const fits = perSecond >= LEAST_PER_SECOND && perSecond <= MOST && burst >= 1 && burst <= MOST;
  return fits ? { perSecond, burst } : undefined;
}
