import { toConfig } from '../config/read.ts';
import { HELD_BY } from '../controller/claim.ts';
import type { KubeApi } from '../kube/api.ts';
import type { Node, Service } from '../kube/objects.ts';
import type { TargetReport } from '../model.ts';
import { createLog, logOptionsFor } from '../ops/log.ts';
import { createProvider } from '../providers/registry.ts';
import type { Call } from './command.ts';
import { describeContext } from './provider-context.ts';
import { describeStatus, targetCounter } from './status-rows.ts';

/** How one target fares, as the provider itself says when it is asked. */
export interface TargetHealth {
  /** The node's name, or the provider's own word where no such node is known. */
  readonly node: string;
  /** Absent: the node as a whole. */
  readonly port?: number;
  readonly health: TargetReport['health'];
  /** Why it is not healthy; empty: nobody says. */
  readonly reason: string;
  /** RFC 3339: when it was read. */
  readonly asOf: string;
}

/**
 * Asks the provider that holds a Service how its targets fare now. Nothing is written anywhere.
 * @returns undefined when no provider can be asked: it watches them all the time, or holds nothing
 * @throws {import('../errors.ts').UsageError} and {import('../errors.ts').Refusal} when the provider cannot be asked from here
 */
export async function readHealth(
  { values, err }: Pick<Call, 'values' | 'err'>,
  { api, service, nodes }: { readonly api: KubeApi; readonly service: Service; readonly nodes: readonly Node[] },
): Promise<readonly TargetHealth[] | undefined> {
  const { balancer, provider: held } = describeStatus(service, { count: targetCounter(nodes), loadBalancerClass: '' });
  const [, clusterName = ''] = (service.annotations[HELD_BY] ?? '').split('/');
  if (held === '' || held === 'none') return undefined;
  const config = toConfig({ ...values, provider: held, clusterName });
  const log = await createLog({ ...logOptionsFor(values.logLevel ?? 'warn', false), write: (line) => err.write(line) });
  const provider = await createProvider(held, await describeContext({ api, config, log }));
  if (!provider.look) return undefined;
  try {
    const surroundings = { reservedBy: () => undefined };
    await provider.open({ balancers: [], surroundings, changed: () => {}, lookOnly: { standing: [] } });
    await provider.look(balancer);
    const { targets } = provider.report(await provider.observe(balancer));
    return describeHealth(targets, service, nodes);
  } finally {
    await provider.close(0);
  }
}

/** Of a shared balancer those that serve the Service. */
function describeHealth(targets: readonly TargetReport[], { ports }: Service, nodes: readonly Node[]): readonly TargetHealth[] {
  const own = new Set<number | undefined>([undefined, ...ports.map(({ nodePort }) => nodePort)]);
  const names = new Map(nodes.map(({ name, providerID }) => [providerID.split('/').at(-1) ?? '', name]));
  return targets
    .filter(({ port }) => own.has(port))
    .map(({ node, port, health, reason = '', asOf }) => ({
      node: names.get(node) ?? node,
      ...(port === undefined ? {} : { port }),
      health,
      reason,
      asOf: new Date(asOf).toISOString(),
    }))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}
