import type { AwsCalls } from './calls.ts';
import type { Inventory } from './inventory.ts';
import type { Ledger } from './ledger.ts';
import type { SeenBalancer, SeenGroup, SeenListener } from './picture.ts';
import type { Reader } from './reader.ts';
import type { Act } from './steps.ts';
import type { Tagging } from './tagging.ts';
import type { Turns } from './turns.ts';

/** What applying works with. */
export interface Bench {
  readonly calls: AwsCalls;
  readonly reader: Reader;
  readonly inventory: Inventory;
  readonly tagging: Tagging;
  readonly ledger: Ledger;
  /** For security groups that balancers share. */
  readonly turns: Turns;
  readonly clusterName: string;
  now(): number;
}

/** The act of these kinds. */
export type ActOf<K extends Act['kind']> = Extract<Act, { readonly kind: K }>;

/** A resource that the step names has vanished: somebody else removed it. The next pass reads anew and makes it again. */
export class Vanished extends Error {
  override readonly name = 'Vanished';
}

export function balancerOf({ inventory }: Bench, name: string): SeenBalancer {
  const seen = inventory.balancerNamed(name);
  if (!seen) throw new Vanished(`NLB ${name} is not there any more`);
  return seen;
}

export function groupOf({ inventory }: Bench, name: string): SeenGroup {
  const seen = inventory.groupNamed(name);
  if (!seen) throw new Vanished(`target group ${name} is not there any more`);
  return seen;
}

export function listenerOf(bench: Bench, balancer: string, port: number): SeenListener {
  const seen = balancerOf(bench, balancer).listeners?.find((one) => one.port === port);
  if (!seen) throw new Vanished(`port ${port} of NLB ${balancer} has no listener any more`);
  return seen;
}
