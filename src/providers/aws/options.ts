import { type Problem, UsageError } from '../../errors.ts';

/** What the AWS provider works with, as `Config.aws`. */
export interface AwsOptions {
  readonly region?: string;
  readonly vpcId?: string;
  readonly defaultScheme: 'internal' | 'internet-facing';
}

/** @throws {UsageError} with everything in them that cannot be used */
export function readOptions(raw: Readonly<Record<string, unknown>>): AwsOptions {
  const { region, vpcId, defaultScheme = 'internet-facing' } = raw;
  const problems: Problem[] = [];
  if (region !== undefined && typeof region !== 'string') problems.push({ where: 'aws.region', message: 'must be a text' });
  if (vpcId !== undefined && typeof vpcId !== 'string') problems.push({ where: 'aws.vpcId', message: 'must be a text' });
  if (defaultScheme !== 'internal' && defaultScheme !== 'internet-facing') {
    problems.push({ where: 'aws.defaultScheme', message: 'must be internal or internet-facing' });
  }
  if (problems.length > 0) throw new UsageError(problems);
  return {
    defaultScheme: defaultScheme as AwsOptions['defaultScheme'],
    ...(typeof region === 'string' ? { region } : {}),
    ...(typeof vpcId === 'string' ? { vpcId } : {}),
  };
}
