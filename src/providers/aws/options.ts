import type { ApiThrottle } from '../../config/throttle.ts';
import { type Problem, UsageError } from '../../errors.ts';

/** What the AWS provider works with, as `Config.aws`. */
export interface AwsOptions {
  readonly region?: string;
  readonly vpcId?: string;
  readonly defaultScheme: 'internal' | 'internet-facing';
  /** Rates of calls where they are not AWS's usual ones. */
  readonly apiThrottle: ApiThrottle;
}

/** @throws {UsageError} with everything in them that cannot be used */
export function readOptions(raw: Readonly<Record<string, unknown>>): AwsOptions {
  const { region, vpcId, defaultScheme = 'internet-facing', apiThrottle = {} } = raw;
  const problems: Problem[] = [];
  if (region !== undefined && typeof region !== 'string') problems.push({ where: 'aws.region', message: 'must be a text' });
  if (vpcId !== undefined && typeof vpcId !== 'string') problems.push({ where: 'aws.vpcId', message: 'must be a text' });
  if (defaultScheme !== 'internal' && defaultScheme !== 'internet-facing') {
    problems.push({ where: 'aws.defaultScheme', message: 'must be internal or internet-facing' });
  }
  if (!isThrottle(apiThrottle)) problems.push({ where: 'aws.apiThrottle', message: 'must be rates of calls by family' });
  if (problems.length > 0) throw new UsageError(problems);
  return {
    defaultScheme: defaultScheme as AwsOptions['defaultScheme'],
    apiThrottle: apiThrottle as ApiThrottle,
    ...(typeof region === 'string' ? { region } : {}),
    ...(typeof vpcId === 'string' ? { vpcId } : {}),
  };
}

/** `config/throttle.ts` has judged the numbers. */
function isThrottle(value: unknown): value is ApiThrottle {
  return typeof value === 'object' && value !== null && Object.values(value).every((rate) => typeof rate === 'object');
}
