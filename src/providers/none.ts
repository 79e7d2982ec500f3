import { isIPv6 } from 'node:net';
import { Refusal } from '../errors.ts';
import type { Balancer, NodeTarget, Report } from '../model.ts';
import type { Provider, ProviderContext } from './provider.ts';

/** So many ways in are named in a message; an event's message may have 1,024 bytes, and people read one line. */
const NAMED = 6;

const NOTHING: Report = { addresses: [], listeners: [], targets: [], settled: true, gone: true };

/** No load balancer at all: every Service stays the NodePort Service that it is, and is told where it answers. */
export function createProvider(_context: ProviderContext): Provider<undefined> {
  return {
    name: 'none',
    open: async () => {},
    close: async () => {},
    keys: async () => [],
    adjust: (balancer) => {
      throw new Refusal(
        'NodePortOnly',
        `No load balancer provider is configured. The Service answers at ${describeWaysIn(balancer)}`,
      );
    },
    observe: async () => undefined,
    plan: () => [],
    apply: async () => {},
    report: () => NOTHING,
  };
}

/** `address:nodePort` of every node, internal and external: the first few and how many more. */
export function describeWaysIn(balancer: Pick<Balancer, 'listeners' | 'nodes'>): string {
  const named: string[] = [];
  let count = 0;
  for (const { protocol, targetGroup } of balancer.listeners) {
    for (const node of balancer.nodes) {
      const ways = waysIn(node, targetGroup.nodePort);
      count += ways.length;
      if (named.length < NAMED) named.push(...ways.map((way) => (protocol === 'TCP' ? way : `${way}/${protocol}`)));
    }
  }
  if (count === 0) return 'no node: there is none that could be a target';
  const more = count > NAMED ? ` and ${count - NAMED} more` : '';
  return `${named.slice(0, NAMED).join(', ')}${more}`;
}

function waysIn(node: NodeTarget, nodePort: number): readonly string[] {
  const elsewhere = node.portMap?.[nodePort];
  if (elsewhere !== undefined) return [elsewhere];
  return node.addresses.map((address) => (isIPv6(address) ? `[${address}]:${nodePort}` : `${address}:${nodePort}`));
}
