import { explain, Refusal, UsageError } from '../../errors.ts';
import type { ProviderStart } from '../provider.ts';
import type { AwsCalls } from './calls.ts';

/** The region that the SDK has settled on. Without one nothing can be asked for until the next start, and each Service is told why.
 *  @throws {UsageError} to somebody who only looks */
export async function findRegion(calls: AwsCalls, { lookOnly }: ProviderStart): Promise<string | Refusal> {
  try {
    return await calls.region();
  } catch (cause) {
    const why = `AWS must be told the region: ${explain(cause)}`;
    if (lookOnly) throw new UsageError([{ where: '--aws-region', message: why }], { cause });
    return new Refusal('AwsRegionUnset', why.replace(/\.$/, ''), { cause });
  }
}
