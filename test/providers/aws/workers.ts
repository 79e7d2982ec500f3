import { type Running, runSandbox } from '../../controller/running.ts';
import { addNode, workers } from './stage.ts';

// Apart from stage.ts, so that tests without a cluster do not load the controller.

/** A cluster of the account's workers, where no controller runs so far. */
export async function runWorkers(): Promise<Running> {
  const cluster = await runSandbox();
  for (const one of workers) addNode(cluster.kube, one);
  return cluster;
}
