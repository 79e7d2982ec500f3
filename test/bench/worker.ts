import { explain } from '../../src/errors.ts';
import { BenchApi } from './api.ts';
import { measureBare, measureBurst } from './bursts.ts';
import { measureNode, measureQuiet, measureSingles } from './calm.ts';
import { BenchNodes, NODES_WITH_SOCKETS } from './nodes.ts';
import type { Burst, Outcome, Plan, Quiet } from './plan.ts';
import { findServer, Site, tell } from './site.ts';

/** Does what the plan in its argument says, where the API server is: in a network namespace if there is one. */
async function runPlan(plan: Plan): Promise<Outcome> {
  const { ground, nodes } = plan;
  const server = await findServer(ground.server, ground.directory);
  const api = new BenchApi(server.access);
  const answering = await BenchNodes.start(api, ground);
  try {
    await answering.add(answering.redirected ? nodes : Math.min(nodes, NODES_WITH_SOCKETS));
    return await measureAll(new Site(plan, api, answering, server));
  } finally {
    answering.stop();
    await api.close();
  }
}

async function measureAll(site: Site): Promise<Outcome> {
  const { repeat, bundle } = site.plan;
  const nodes = site.nodes.count;
  const singles = await measureSingles(site);
  const bursts: Burst[] = [];
  const nodeAdded: number[] = [];
  let quiet: Quiet | undefined;
  for (let i = 1; i <= repeat; i++) {
    const bare = await measureBare(site);
    const burst = await measureBurst(site, 'sources', async (product) => {
      nodeAdded.push(await measureNode(site, product));
      if (i === repeat) quiet = await measureQuiet(site, product);
    });
    bursts.push({ ...burst, bare });
    tell(`run ${i} of ${repeat}: last address ${Math.round(burst.tailMs)} ms after the last creation`);
  }
  if (!quiet) throw new Error('there was no run');
  if (bundle) tell('once more from the bundle');
  return { nodes, bursts, ...(bundle ? { bundle: await measureBurst(site, 'bundle') } : {}), singles, nodeAdded, quiet };
}

try {
  const outcome = await runPlan(JSON.parse(process.argv[2] ?? '') as Plan);
  process.stdout.write(JSON.stringify(outcome), () => process.exit(0));
} catch (error) {
  tell(explain(error));
  process.exit(1);
}
