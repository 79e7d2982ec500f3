import {
  type Aim,
  type Changes,
  emptyPlan,
  familyOf,
  type KernelRule,
  keyOf,
  type Plan,
} from '../../../src/forwarder/kernel/plan.ts';

/** Targets at the listeners' own nodePorts. */
export function aim(addresses: readonly string[], { staySeconds }: { readonly staySeconds?: number } = {}): Aim {
  const family = familyOf(addresses[0] ?? '10.0.0.1');
  return { content: `${family} ${staySeconds} ${addresses.join(' ')}`, family, addresses, ports: undefined, staySeconds };
}

export function kernelRule(
  port: number,
  to: Aim,
  more: { readonly address?: string; readonly protocol?: string; readonly sources?: readonly string[] } = {},
): KernelRule {
  const { address = '192.0.2.1', protocol = 'tcp', sources } = more;
  const key = keyOf(address, protocol, port);
  return { id: key, family: familyOf(address), key, address, nodePort: 30_000 + port, group: to.content, sources };
}

/** The changes that lead to just these rules. */
export function changesTo(rules: readonly KernelRule[], aims: readonly Aim[], before: Plan = emptyPlan): Changes {
  const gone = [...before.entries.keys()].map((key) => [key, undefined] as const);
  return {
    rules: new Map<string, KernelRule | undefined>([...gone, ...rules.map((rule) => [rule.key, rule] as const)]),
    aims: new Map(aims.map((one) => [one.content, one])),
  };
}
