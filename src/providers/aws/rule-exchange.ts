import type { Rule } from './picture.ts';
import { countsAs, FAMILIES, RULES_MAX } from './rules.ts';

/** One call for some rules of a security group. */
export interface Turn {
  readonly kind: 'allow' | 'revoke';
  readonly rules: readonly Rule[];
  /** These go first, all at once, if AWS says that the group takes no more. */
  readonly instead?: readonly Rule[];
}

interface Extra {
  /** Nobody needs them any more. */
  readonly idle: readonly Rule[];
  /** They admit clients to a listener that has not changed yet. */
  readonly used: readonly Rule[];
}

interface Exchange {
  readonly turns: readonly Turn[];
  /** When the listeners have changed. */
  readonly last: readonly Turn[];
}

/**
 * Pure. What is allowed newly comes before what goes, as far as the group has room: where it has none, just as many as are in the way go
 * first, those in use last of all. What a prefix list weighs we do not know (as much as it may have entries), so beside one of them AWS is
 * asked: only where it says that the group is full, what goes leaves first.
 * @param seen all rules of the group, also those of others
 */
export function exchangeRules(seen: readonly Rule[], missing: readonly Rule[], { idle, used }: Extra): Exchange {
  const going = [...idle, ...used];
  if (missing.length > 0 && [...seen, ...missing].some(({ source }) => source.startsWith('pl-'))) {
    const allowed = turn('allow', missing).map((one) => (going.length > 0 ? { ...one, instead: going } : one));
    return { turns: [...allowed, ...turn('revoke', idle)], last: turn('revoke', used) };
  }
  const now = new Set(FAMILIES.flatMap((family) => fitting(seen, missing, family)));
  const way = new Set(FAMILIES.flatMap((family) => inTheWay(seen, missing, going, family)));
  const isLater = (rule: Rule): boolean => !way.has(rule);
  return {
    turns: [
      ...turn('allow', [...now]),
      ...turn('revoke', [...way]),
      ...turn(
        'allow',
        missing.filter((rule) => !now.has(rule)),
      ),
      ...turn('revoke', idle.filter(isLater)),
    ],
    last: turn('revoke', used.filter(isLater)),
  };
}

type Family = (typeof FAMILIES)[number];

/** As many of the new ones as have room beside all that is there. */
function fitting(seen: readonly Rule[], missing: readonly Rule[], family: Family): readonly Rule[] {
  return of(family, missing).slice(0, Math.max(0, RULES_MAX - of(family, seen).length));
}

/** As many of those that go as there would be too many. */
function inTheWay(seen: readonly Rule[], missing: readonly Rule[], going: readonly Rule[], family: Family): readonly Rule[] {
  const wanted = of(family, missing).length;
  return wanted === 0 ? [] : of(family, going).slice(0, Math.max(0, of(family, seen).length + wanted - RULES_MAX));
}

function of(family: Family, rules: readonly Rule[]): readonly Rule[] {
  return rules.filter((rule) => countsAs(rule, family));
}

function turn(kind: Turn['kind'], rules: readonly Rule[]): readonly Turn[] {
  return rules.length > 0 ? [{ kind, rules }] : [];
}
