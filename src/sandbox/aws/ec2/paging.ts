import { AwsFailure } from '../failure.ts';
import { text, whole } from '../shapes.ts';

/** The parameters of an action that answers in pages. @param min the fewest that a page may be asked to hold */
export function pageFields(min: number, max: number) {
  return { MaxResults: whole(min, max), NextToken: text };
}

interface Asked {
  readonly MaxResults?: number | undefined;
  readonly NextToken?: string | undefined;
}

/** @param ids what was asked for by id; EC2 does not page through those
 *  @param usual the length of a page when none is asked for
 *  @throws {AwsFailure} InvalidParameterCombination; InvalidNextToken for one that we did not give */
export function pageOf<T>(all: readonly T[], asked: Asked, ids: readonly string[] | undefined, usual = 1000) {
  if (ids?.length && asked.MaxResults !== undefined) {
    throw new AwsFailure('InvalidParameterCombination', 'The parameter MaxResults cannot be used together with a list of ids');
  }
  const start = asked.NextToken === undefined ? 0 : offsetOf(asked.NextToken);
  const end = start + (asked.MaxResults ?? usual);
  return { page: all.slice(start, end), next: end < all.length ? Buffer.from(`from ${end}`).toString('base64url') : undefined };
}

function offsetOf(token: string): number {
  const match = /^from (\d{1,9})$/.exec(Buffer.from(token, 'base64url').toString());
  if (!match) throw new AwsFailure('InvalidNextToken', `The token '${token}' is invalid`);
  return Number(match[1]);
}
