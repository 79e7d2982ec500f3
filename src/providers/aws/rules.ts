import type { AwsAnnotations } from '../../config/aws-annotations.ts';
import { Refusal } from '../../errors.ts';
import type { Balancer } from '../../model.ts';
import type { Rule, SeenSecurityGroup } from './picture.ts';
import type { DesiredListener } from './ports.ts';

/** Inbound rules of a security group, of IPv4 and of IPv6 each; what names no family counts as one of both.
 *  @see https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups */
export const RULES_MAX = 60;
export const FAMILIES = ['IPv4', 'IPv6'] as const;
const EVERYWHERE = ['0.0.0.0/0', '::/0'] as const;
/** Destination unreachable, fragmentation needed; and packet too big. */
const ICMP = { protocol: 'icmp', from: 3, to: 4 } as const;
const ICMP6 = { protocol: 'icmpv6', from: 2, to: 0 } as const;

/** Marks the rules on nodes' groups that are ours, for people; which they are is known by their source, our backend group. */
const DESCRIPTION = 'nodeport-lb';
/** Where Kubernetes allocates nodePorts unless told otherwise, and the health port of kube-proxy. */
const NODE_PORTS = { from: 30_000, to: 32_767 } as const;
const KUBE_PROXY = { from: 10_256, to: 10_256 } as const;
const UNPRIVILEGED = { from: 1_024, to: 65_535 } as const;

/** Who may reach the NLB: each listener's clients, by CIDR and prefix list. @throws {Refusal} when AWS would not take so many of one family */
export function describeRules(
  balancer: Balancer,
  asked: AwsAnnotations,
  listeners: readonly DesiredListener[],
  dualStack: boolean,
): readonly Rule[] {
  const rules = new Map<string, Rule>();
  const add = (rule: Rule): unknown => rules.set(ruleId(rule), rule);
  for (const listener of listeners) {
    for (const source of sourcesOf(listener, balancer, asked, dualStack)) {
      const isIpv6 = source.includes(':');
      const transports = listener.protocol === 'TCP_UDP' ? ['tcp', 'udp'] : [listener.protocol === 'UDP' ? 'udp' : 'tcp'];
      for (const protocol of transports) add({ protocol, from: listener.port, to: listener.port, source });
      if (asked.icmpForPathMtu && !source.startsWith('pl-')) add({ ...(isIpv6 ? ICMP6 : ICMP), source });
    }
  }
  for (const family of FAMILIES) {
    const { length } = [...rules.values()].filter((rule) => countsAs(rule, family));
    if (length > RULES_MAX) {
      const said = `${length} rules of ${family} (ports times source ranges)`;
      throw new Refusal('QuotaExceeded', `${said}, and a security group has at most ${RULES_MAX} of each family`);
    }
  }
  return [...rules.values()];
}

export function countsAs({ source }: Pick<Rule, 'source'>, family: (typeof FAMILIES)[number]): boolean {
  if (source.startsWith('sg-') || source.startsWith('pl-')) return true;
  return source.includes(':') === (family === 'IPv6');
}

function sourcesOf(listener: DesiredListener, balancer: Balancer, asked: AwsAnnotations, dualStack: boolean): readonly string[] {
  const own = balancer.listeners.find(({ port }) => port === listener.port)?.targetGroup.sourceRanges ?? [];
  const ranges = (own.length > 0 ? own : asked.sourceRanges).map((range) => range.trim());
  if (ranges.length > 0 || asked.prefixLists.length > 0) return [...ranges, ...asked.prefixLists];
  return dualStack ? EVERYWHERE : EVERYWHERE.slice(0, 1);
}

/**
 * What is missing on a nodes' group so that the backend group reaches these ports. Ranges, so that their number stays the same
 * however many Services there are: the usual NodePorts and kube-proxy's health port, else everything above 1023.
 */
export function missingNodeRules(
  group: SeenSecurityGroup,
  backendId: string,
  ports: readonly { readonly protocol: 'tcp' | 'udp'; readonly port: number }[],
): readonly Rule[] {
  const ours = group.rules.filter(({ source }) => source === backendId);
  const missing = new Map<string, Rule>();
  for (const { protocol, port } of ports) {
    if ([...ours, ...missing.values()].some((rule) => rule.protocol === protocol && rule.from <= port && port <= rule.to))
      continue;
    const range = [NODE_PORTS, KUBE_PROXY, UNPRIVILEGED].find(({ from, to }) => from <= port && port <= to) ?? {
      from: port,
      to: port,
    };
    const rule = { protocol, ...range, source: backendId, description: DESCRIPTION };
    missing.set(ruleId(rule), rule);
  }
  return [...missing.values()];
}

export function ruleId({ protocol, from, to, source }: Rule): string {
  return `${protocol} ${from}-${to} ${source}`;
}

export function sayRule({ protocol, from, to, source }: Rule): string {
  if (protocol.startsWith('icmp')) return `${protocol} ${from}/${to} from ${source}`;
  const who = source === ':backend' ? 'the NLBs' : source;
  return `${protocol} ${from === to ? from : `${from}-${to}`} from ${who}`;
}
