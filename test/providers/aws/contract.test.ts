import type { Balancer } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import { providerContract, type World } from '../../contracts/provider.ts';
import { makeAws, makeProvider, worker } from './stage.ts';

providerContract('aws, on the strict sandbox', async (): Promise<World> => {
  const aws = await makeAws();
  return {
    create: async () => withInstances(makeProvider(aws)),
    kill: (provider) => provider.close(0),
    ports: [80, 443, 8080, 5432],
    impossible: { requested: ['192.0.2.1'] },
    end: () => aws.close(),
  };
});

/** The contract's nodes are any provider's; here `n1` is the first instance of the account, and so on. */
function withInstances(provider: Provider): Provider {
  const place = (balancer: Balancer): Balancer => ({
    ...balancer,
    nodes: balancer.nodes.map((node) => ({ ...node, providerId: worker(Number(node.name.slice(1))).providerId! })),
  });
  return {
    name: provider.name,
    open: (start) => provider.open({ ...start, balancers: start.balancers.map(place) }),
    close: (drainMs) => provider.close(drainMs),
    keys: () => provider.keys(),
    adjust: (balancer, surroundings) => provider.adjust(place(balancer), surroundings),
    observe: (key) => provider.observe(key),
    plan: (wanted, observed, now, leaving) => provider.plan(wanted, observed, now, leaving),
    apply: (step) => provider.apply(step),
    report: (observed) => provider.report(observed),
  };
}
