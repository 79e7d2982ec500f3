/** A bucket of tokens: a call takes one. */
export interface Bucket {
  readonly size: number;
  readonly refillPerSecond: number;
}

/** One family of actions, which share a bucket; of EC2's actions each has a bucket of its own. */
export interface Family {
  readonly service: 'elbv2' | 'ec2';
  readonly actions: RegExp;
  readonly bucket: Bucket;
  readonly each?: boolean;
}

/**
 * The account's buckets: the first family that an action belongs to is its own. Describe is documented, Register is what the
 * established controllers were told, and the others are an estimate on the careful side.
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html
 * @see https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
 */
export const usualBuckets: readonly Family[] = [
  { service: 'elbv2', actions: /^Describe/, bucket: { size: 40, refillPerSecond: 10 } },
  { service: 'elbv2', actions: /^(Register|Deregister)Targets$/, bucket: { size: 20, refillPerSecond: 4 } },
  { service: 'elbv2', actions: /^(Modify|Set)/, bucket: { size: 20, refillPerSecond: 3 } },
  { service: 'elbv2', actions: /./, bucket: { size: 20, refillPerSecond: 5 } },
  { service: 'ec2', actions: /^Describe/, bucket: { size: 100, refillPerSecond: 20 }, each: true },
  { service: 'ec2', actions: /./, bucket: { size: 50, refillPerSecond: 5 }, each: true },
];

interface Level {
  tokens: number;
  atMs: number;
}

/** Takes a token for a call, and says whether there was one. @param now ms */
export function openThrottle(families: readonly Family[], now: () => number): (service: string, action: string) => boolean {
  const levels = new Map<string, Level>(); // at most one a family, or one an action: both are few
  return (service, action) => {
    const index = families.findIndex((family) => family.service === service && family.actions.test(action));
    const family = families[index];
    if (!family) return true;
    const { size, refillPerSecond } = family.bucket;
    const key = family.each ? `${index} ${action}` : String(index);
    const level = levels.get(key) ?? { tokens: size, atMs: now() };
    level.tokens = Math.min(size, level.tokens + ((now() - level.atMs) / 1000) * refillPerSecond);
    level.atMs = now();
    levels.set(key, level);
    if (level.tokens < 1) return false;
    level.tokens -= 1;
    return true;
  };
}
