import type { Service } from '../../kube/objects.ts';
import type { Landing } from '../nodes/backends.ts';
import type { DemoCluster } from './cluster.ts';
import type { ControllerProcess } from './controller-process.ts';
import { type Story, until } from './story.ts';
import { externalAddresses, type Way, waysInto } from './ways.ts';

/** What the parts of the demo act on. */
export interface Scene {
  readonly story: Story;
  readonly cluster: DemoCluster;
  /** The one that runs now, or ran last. */
  controller?: ControllerProcess;
  /** Called when a controller ends by itself. */
  readonly giveUp: (why: string) => void;
  /** Services whose ways in must answer from now on, as `namespace/name`, in the order of their coming. */
  readonly told: Set<string>;
}

/** Nothing in the demo takes as long, unless it never comes. */
export const DEADLINE_MS = 10_000;
/** A program that starts on a machine under load may take its time; one that ends is seen at once. */
const READY_MS = 30_000;

/** Starts the controller and waits until it is ready. */
export async function startController(scene: Scene, provider: string): Promise<void> {
  const since = performance.now();
  const controller = await scene.cluster.startController(['--provider', provider]);
  scene.controller = controller;
  void controller.died.then((code) => scene.giveUp(`the controller ended by itself with exit code ${code}`));
  const ready = await controller.ready(READY_MS);
  const elapsed = Math.round(performance.now() - since);
  scene.story.claim(ready, `nodeport-lb controller --provider ${provider} is ready, ${elapsed} ms after its start`, 'it is not');
}

/** Applies a manifest and waits until every way in to the Service answers; an external address counts once it is there. */
export async function applyService(scene: Scene, file: string, key: string): Promise<Service | undefined> {
  const { story, cluster } = scene;
  await cluster.apply(file);
  scene.told.add(key);
  const service = await cluster.serviceNow(key);
  const ways = service ? waysInto(service, cluster.nodes).filter((way) => way.kind !== 'balancer') : [];
  const open = await until(async () => ((await failures(ways)).length === 0 ? true : undefined), DEADLINE_MS);
  const where = ways.map((way) => way.label).join(', ');
  story.claim(open === true, `${file}: answers at ${where}`, 'not all of them answered in time');
  return service;
}

/** Waits for the external address of a Service. @returns how long it took, in ms; undefined when it did not come */
export async function timeArrival({ cluster }: Scene, key: string): Promise<number | undefined> {
  const since = performance.now();
  const service = await cluster.serviceWhen(key, (s) => externalAddresses(s).length > 0, DEADLINE_MS);
  return service && Math.round(performance.now() - since);
}

/** Asks at the external address of a Service, at once and more often than there are nodes. @param afterMs as `timeArrival` says */
export async function claimAddress(scene: Scene, key: string, afterMs: number | undefined): Promise<void> {
  const { story, cluster } = scene;
  const service = cluster.service(key);
  if (!service || afterMs === undefined) {
    const verdict = service?.conditions.map((c) => `${c.reason}: ${c.message}`).join('; ');
    story.claim(false, `${key} gets an external IP`, verdict || 'no condition says why');
    return;
  }
  story.claim(true, `EXTERNAL-IP ${externalAddresses(service).join(', ')}, ${afterMs} ms after it was asked for`);
  const nodes = cluster.nodes.nodes.map((node) => node.name);
  for (const way of balancerWays(scene, key)) {
    const entered = new Set<string>();
    // Where nodes share an address, the controller learns their ports from an annotation, which may come a moment later.
    const all = await until(async () => {
      for (const landing of await askMany(way, nodes.length * 4)) entered.add(landing.entered);
      return nodes.every((node) => entered.has(node)) ? true : undefined;
    }, DEADLINE_MS);
    story.claim(all === true, `${way.label} answers, by way of every node`, `entered: ${[...entered].join(', ')}`);
  }
}

export function balancerWays(scene: Scene, key: string): readonly Way[] {
  const service = scene.cluster.service(key);
  return service ? waysInto(service, scene.cluster.nodes).filter((way) => way.kind === 'balancer') : [];
}

/** Every way in that was opened so far, each asked once: none may fail. */
export async function claimAllStillAnswer({ story, cluster, told }: Scene): Promise<void> {
  const services = [...told].flatMap((key) => cluster.service(key) ?? []);
  const ways = services.flatMap((service) => waysInto(service, cluster.nodes));
  const failed = await failures(ways);
  const answered = ways.length - failed.length;
  const found = failed.slice(0, 3).join('; ');
  story.claim(failed.length === 0, `every way in so far still answers: ${answered} of ${ways.length}`, found);
}

/** @throws when one of the requests fails */
export async function askMany(way: Way, count: number): Promise<readonly Landing[]> {
  const landings: Landing[] = [];
  for (let i = 0; i < count; i++) landings.push(await way.ask());
  return landings;
}

export async function failures(ways: readonly Way[]): Promise<readonly string[]> {
  const outcomes = await Promise.allSettled(ways.map((way) => way.ask()));
  return outcomes.flatMap((o, i) => (o.status === 'rejected' ? `${ways[i]!.label}: ${(o.reason as Error).message}` : []));
}
