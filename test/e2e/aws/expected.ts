import type { Ground } from '../../contracts/aws/stage.ts';
import type { ServiceObject } from '../lab/product.ts';
import type { BalancerEntry } from './books.ts';

/** What an account must hold of a Service. Unset: what a Service without annotations gets. */
export interface Expected {
  readonly service: ServiceObject;
  /** Instance ids. */
  readonly targets: readonly string[];
  readonly scheme?: 'internal' | 'internet-facing';
  readonly subnets?: readonly string[];
  /** By port, where it is not the Service's own protocol. */
  readonly protocols?: Readonly<Record<number, string>>;
  /** By port, where connections are shared out: its own share first. */
  readonly shares?: Readonly<Record<number, readonly ExpectedShare[]>>;
  /** It has no security group of its own. */
  readonly bare?: boolean;
}

export interface ExpectedShare {
  readonly weight: number;
  readonly nodePort: number;
}

export function keyOf({ metadata }: ServiceObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** What the account shall hold of it, a line each. */
export function linesFor(
  { service, targets, scheme = 'internet-facing', subnets, protocols = {}, shares = {} }: Expected,
  { publicSubnets, privateSubnets }: Ground,
): readonly string[] {
  const key = keyOf(service);
  const places = subnets ?? (scheme === 'internal' ? privateSubnets : publicSubnets);
  const ports = new Map<number, { readonly own: string[]; readonly nodePort: number }>();
  for (const { port, nodePort = 0, protocol = 'TCP' } of service.spec.ports ?? []) {
    const had = ports.get(port);
    if (had) had.own.push(protocol);
    else ports.set(port, { own: [protocol], nodePort });
  }
  const listeners = [...ports].flatMap(([port, { own, nodePort }]) => {
    const protocol = protocols[port] ?? (own.length > 1 ? 'TCP_UDP' : own[0]);
    const sends = shares[port]?.map((one) => ({ ...one, said: ` weight ${one.weight}` })) ?? [{ nodePort, said: '' }];
    const lines = sends.flatMap((one) => targets.map((id) => `${key}: ${protocol} ${port}${one.said} to ${id}:${one.nodePort}`));
    return [`${key}: ${protocol} ${port}`, ...lines];
  });
  return [`${key}: ${scheme} in ${[...places].sort().join()}`, ...listeners];
}

/** What the account holds of an NLB, a line each. */
export function linesOf({ key, name, scheme, subnets, listeners }: BalancerEntry): readonly string[] {
  const owner = key || `NLB ${name} of nobody`;
  return [
    `${owner}: ${scheme} in ${subnets.join()}`,
    ...listeners.flatMap(({ protocol, port, shares }) => [
      `${owner}: ${protocol} ${port}`,
      ...shares.flatMap(({ weight, targets }) =>
        targets.map((target) => `${owner}: ${protocol} ${port}${shares.length > 1 ? ` weight ${weight}` : ''} to ${target}`),
      ),
    ]),
  ];
}

/** What is missing and what is too much, in words; a line that is there twice counts twice. */
export function differences(wanted: readonly string[], seen: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const line of wanted) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const line of seen) counts.set(line, (counts.get(line) ?? 0) - 1);
  return [...counts].flatMap(([line, count]) => (count > 0 ? `missing: ${line}` : count < 0 ? `too much: ${line}` : []));
}
