import { at, list, text } from '../../kube/objects.ts';
import { applyService, claimAllStillAnswer, DEADLINE_MS, type Scene, startController } from './scene.ts';
import { until } from './story.ts';
import { showServices } from './tutorials.ts';
import { externalAddresses } from './ways.ts';

/** Type of the controller's condition in `status.conditions`. */
const CONDITION = 'nodeport-lb.io/Ready';

/** The same cluster with nobody to make balancers: Services answer on every node, and say why they have no address. */
export async function tellWithoutProvider(scene: Scene): Promise<void> {
  await scene.story.part('The same cluster with --provider none', () => runWithoutProvider(scene));
}

async function runWithoutProvider(scene: Scene): Promise<void> {
  const { story, cluster } = scene;
  const since = performance.now();
  const code = await scene.controller?.stop();
  const elapsed = Math.round(performance.now() - since);
  story.claim(code === 0, `the controller stops on SIGTERM with exit code 0, in ${elapsed} ms`, `its exit code is ${code}`);
  await startController(scene, 'none');
  const key = 'default/kubia-loadbalancer';
  for (const told of [...scene.told]) if (told !== 'default/kubia-nodeport') scene.told.delete(told);
  await applyService(scene, 'kubia-svc-loadbalancer.yaml', key);
  await claimReason(scene, key, 'NodePortOnly');
  await claimEvent(scene, key, 'NodePortOnly');
  story.claim(externalAddresses(cluster.service(key)!).length === 0, 'it has no external IP');
  await claimReason(scene, 'default/service-python', 'OtherProvider');
  await claimAllStillAnswer(scene);
  showServices(scene);
}

async function claimReason({ story, cluster }: Scene, key: string, reason: string): Promise<void> {
  const service = await cluster.serviceWhen(key, (s) => reasonOf(s)?.reason === reason, DEADLINE_MS);
  const condition = reasonOf(service ?? cluster.service(key));
  const name = key.split('/')[1]!;
  const found = condition ? `${condition.reason}: ${condition.message}` : 'there is no condition';
  story.claim(service !== undefined, `${name}, condition ${reason}: ${condition?.message}`, found);
}

function reasonOf(service: { readonly conditions: readonly { type: string; reason: string; message: string }[] } | undefined) {
  return service?.conditions.find((c) => c.type === CONDITION);
}

async function claimEvent({ story, cluster }: Scene, key: string, reason: string): Promise<void> {
  const [namespace, name] = key.split('/');
  const path = `/api/v1/namespaces/${namespace}/events?fieldSelector=involvedObject.name%3D${name}`;
  const event = await until(async () => {
    const events = list(at(await cluster.api.get(path), 'items'));
    return events.find((e) => text(at(e, 'reason')) === reason);
  }, DEADLINE_MS);
  const message = text(at(event, 'message'));
  const same = message === reasonOf(cluster.service(key))?.message;
  const told = `${text(at(event, 'type'))} ${text(at(event, 'reason'))}: ${same ? 'it says the same' : message}`;
  story.claim(event !== undefined, `${name}, event ${told}`, 'there is none');
}
