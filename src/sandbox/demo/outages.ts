import { connect } from 'node:net';
import { keepAsking } from './load.ts';
import { balancerWays, claimAllStillAnswer, DEADLINE_MS, type Scene } from './scene.ts';
import { until } from './story.ts';
import { externalAddresses, servedPorts } from './ways.ts';

const WORKERS = 4;
/** Requests before the node goes and after. */
const ENOUGH = 200;
/** For connections to a node that leaves to cease. */
const LIMIT_MS = 2_000;

/** What goes away, and what must not be hurt by it. */
export async function tellOutages(scene: Scene): Promise<void> {
  await scene.story.part('A node is taken away while requests go on', () => takeNodeAway(scene));
  await scene.story.part('A Service is deleted', () => deleteService(scene));
}

async function takeNodeAway(scene: Scene): Promise<void> {
  const { story, cluster } = scene;
  const [way] = balancerWays(scene, 'default/kubia-loadbalancer');
  const node = cluster.nodes.nodes[1];
  if (!way || !node) throw new Error('there is no address to ask, or no second node');
  const load = keepAsking(way.ask, WORKERS);
  const reached = (count: number) => () => (load.landings.length >= count || load.failures.length > 0 ? true : undefined);
  await until(reached(ENOUGH), DEADLINE_MS);
  const before = load.landings.length;
  const since = performance.now();
  const off = node.leave(LIMIT_MS);
  story.tell(`${node.name} leaves: its Node object and its pods are deleted`);
  await off;
  const gone = load.landings.length;
  story.tell(`its machine is off ${Math.round(performance.now() - since)} ms later; ${gone - before} answers meanwhile`);
  await until(reached(gone + ENOUGH), DEADLINE_MS);
  await load.stop();
  const found = `${load.failures.length} failed, the first with: ${load.failures[0]?.message}`;
  const all = load.landings.length;
  story.claim(load.failures.length === 0 && all >= gone + ENOUGH, `${all} requests in all, none failed`, found);
  const late = load.landings.slice(gone).filter((landing) => landing.entered === node.name).length;
  story.claim(late === 0, `none enters by way of ${node.name} any more`, `${late} did`);
  await claimAllStillAnswer(scene);
}

async function deleteService(scene: Scene): Promise<void> {
  const { story, cluster, told } = scene;
  const key = 'default/kubia-loadbalancer';
  const service = cluster.service(key);
  const address = service && externalAddresses(service)[0];
  if (!service || !address) throw new Error(`${key} has no address that could close`);
  const port = servedPorts(service).get(80) ?? 80;
  told.delete(key);
  const since = performance.now();
  await cluster.api.remove(`/api/v1/namespaces/default/services/${service.name}`);
  const closed = await until(async () => ((await refused(address, port)) ? true : undefined), DEADLINE_MS);
  const elapsed = Math.round(performance.now() - since);
  const found = closed ? '' : `it still answers after ${elapsed} ms`;
  story.claim(
    closed === true,
    `kubia-loadbalancer is deleted: ${address}:${port} refuses connections after ${elapsed} ms`,
    found,
  );
  const gone = await until(() => (cluster.service(key) ? undefined : true), DEADLINE_MS);
  story.claim(gone === true, 'its finalizer is gone, and so is the object', 'the object is still there');
  await claimAllStillAnswer(scene);
}

/** Whether nothing listens there. */
export function refused(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
