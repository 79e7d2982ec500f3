import { AwsFailure } from './failure.ts';

/** One level of a request's names: `Targets.member.1.Id=i-1` is a branch within branches, with a text at its end. */
export interface Branch {
  readonly text: string | undefined;
  readonly twigs: ReadonlyMap<string, Branch>;
}

interface Growing {
  text: string | undefined;
  readonly twigs: Map<string, Growing>;
}

const MAX_PARAMETERS = 20_000; // 1,000 targets with id and port are 2,000
const MAX_DEPTH = 10;

/** Takes a form-encoded request apart.
 *  @throws {AwsFailure} MalformedQueryString when there are too many names, or names too deep */
export function growTree(form: URLSearchParams): Branch {
  const root: Growing = { text: undefined, twigs: new Map() };
  let count = 0;
  for (const [name, text] of form) {
    const parts = name.split('.');
    if (++count > MAX_PARAMETERS || parts.length > MAX_DEPTH) {
      throw new AwsFailure('MalformedQueryString', 'The query string has too many or too deep parameters');
    }
    let at = root;
    for (const part of parts) {
      const next = at.twigs.get(part) ?? { text: undefined, twigs: new Map() };
      at.twigs.set(part, next);
      at = next;
    }
    at.text = text;
  }
  return root;
}

/** The elements of a list, in their order: `member.N` as Elastic Load Balancing counts them, or `N` as EC2 does. */
export function elementsOf(branch: Branch): readonly Branch[] {
  const holder = branch.twigs.get('member') ?? branch;
  return [...holder.twigs]
    .filter(([name]) => /^\d+$/.test(name))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, element]) => element);
}
