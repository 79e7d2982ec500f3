import { AwsFailure } from '../failure.ts';
import { text, whole } from '../shapes.ts';

/** The parameters of an action that answers in pages. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html */
export const pageFields = { Marker: text, PageSize: whole(1, 400) };

const MAX_NAMED = 20;

/** What a read may name at a time. @param called `target groups`. @throws {AwsFailure} ValidationError */
export function checkNamed(named: readonly string[] | undefined, called: string): void {
  if (!named || named.length <= MAX_NAMED) return;
  throw new AwsFailure('ValidationError', `You cannot describe more than '${MAX_NAMED}' ${called} at a time`);
}

interface Asked {
  readonly Marker?: string | undefined;
  readonly PageSize?: number | undefined;
}

/** One page of `all`. A marker names the last thing of the page before, so that what comes and goes between pages neither shifts nor
 *  repeats the rest.
 *  @param usual the length of a page when none is asked for */
export function pageOf<T>(all: readonly T[], idOf: (thing: T) => string, asked: Asked, usual = 400) {
  const start = asked.Marker === undefined ? 0 : after(all, idOf, asked.Marker);
  const page = all.slice(start, start + (asked.PageSize ?? usual));
  const last = page.at(-1);
  const more = last !== undefined && start + page.length < all.length;
  return { page, next: more ? Buffer.from(idOf(last)).toString('base64url') : undefined };
}

function after<T>(all: readonly T[], idOf: (thing: T) => string, marker: string): number {
  const id = Buffer.from(marker, 'base64url').toString();
  const index = all.findIndex((thing) => idOf(thing) === id);
  if (index < 0) throw new AwsFailure('ValidationError', `Invalid marker: '${marker}'`);
  return index + 1;
}
