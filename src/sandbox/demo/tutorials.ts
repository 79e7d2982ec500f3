import { at, list, text } from '../../kube/objects.ts';
import {
  applyService,
  askMany,
  balancerWays,
  claimAddress,
  claimAllStillAnswer,
  DEADLINE_MS,
  type Scene,
  timeArrival,
} from './scene.ts';
import { until } from './story.ts';
import { columns, servicesTable, tally } from './tables.ts';
import { externalAddresses, servedPorts } from './ways.ts';

/** Requests to each address when it is counted where they land; many times the number of nodes. */
const COUNTED_REQUESTS = 30;

/** The manifests that tutorials on Services use, in their order. */
export async function tellTutorials(scene: Scene): Promise<void> {
  await scene.story.part('kubia: a NodePort, then a LoadBalancer, before the same pods', () => tellKubia(scene));
  await scene.story.part('service-python: edited in place, ClusterIP, NodePort, LoadBalancer', () => tellPython(scene));
  await scene.story.part('tomcat-service in namespace study: NodePort, then LoadBalancer', () => tellTomcat(scene));
  await scene.story.part('my-service: no selector, its Endpoints 1.2.3.4:9376 made by hand', () => tellMyService(scene));
  await scene.story.part('What kubectl get svc shows, and where requests land', () => showWhereRequestsLand(scene));
}

async function tellKubia(scene: Scene): Promise<void> {
  await applyPods(scene, 'kubia-pods.yaml', 'default', 'kubia', 3);
  await applyService(scene, 'kubia-svc-nodeport.yaml', 'default/kubia-nodeport');
  await makeBalancer(scene, 'kubia-svc-loadbalancer.yaml', 'default/kubia-loadbalancer');
}

async function tellPython(scene: Scene): Promise<void> {
  const key = 'default/service-python';
  await applyPods(scene, 'python-deployment.yaml', 'default', 'python', 2);
  await applyService(scene, 'service-python.yaml', key);
  await applyService(scene, 'service-python-nodeport.yaml', key);
  await claimAllStillAnswer(scene);
  await makeBalancer(scene, 'service-python-loadbalancer.yaml', key);
}

async function tellTomcat(scene: Scene): Promise<void> {
  const key = 'study/tomcat-service';
  await applyPods(scene, 'tomcat-deployment.yaml', 'study', 'tomcat', 2);
  await applyService(scene, 'tomcat-service.yaml', key);
  await makeBalancer(scene, 'tomcat-service-loadbalancer.yaml', key);
}

async function tellMyService(scene: Scene): Promise<void> {
  const key = 'default/my-service';
  await applyService(scene, 'my-service.yaml', key);
  await makeBalancer(scene, 'my-service-loadbalancer.yaml', key);
}

export async function makeBalancer(scene: Scene, file: string, key: string): Promise<void> {
  const arrival = timeArrival(scene, key);
  await applyService(scene, file, key);
  await claimAddress(scene, key, await arrival);
  await claimAllStillAnswer(scene);
}

async function applyPods({ story, cluster }: Scene, file: string, namespace: string, app: string, count: number): Promise<void> {
  await cluster.apply(file);
  const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${app}`;
  const places = await until(async () => {
    const pods = list(at(await cluster.api.get(path), 'items')).map((pod) => ({
      address: text(at(at(pod, 'status'), 'podIP')),
      node: text(at(at(pod, 'spec'), 'nodeName')),
    }));
    return pods.length === count && pods.every((pod) => pod.address !== '') ? pods : undefined;
  }, DEADLINE_MS);
  const told = places?.map(({ address, node }) => `${address} on ${node}`).join(', ');
  story.claim(places !== undefined, `${file}: ${count} pods${told ? `: ${told}` : ''}`, 'they did not come up in time');
}

async function showWhereRequestsLand(scene: Scene): Promise<void> {
  showServices(scene);
  const nodes = scene.cluster.nodes.nodes.map((node) => node.name);
  const byNode: string[][] = [['REQUESTS TO', 'ADDRESS', ...nodes]];
  const byPod: string[][] = [['REQUESTS TO', 'ANSWERED BY']];
  for (const key of scene.told) {
    for (const way of balancerWays(scene, key)) {
      const landings = await askMany(way, COUNTED_REQUESTS);
      const entered = tally(landings.map((l) => l.entered));
      const name = key.split('/')[1]!;
      byNode.push([name, way.label, ...nodes.map((node) => String(entered.get(node) ?? 0))]);
      const pods = [...tally(landings.map((l) => l.pod))].map(([pod, count]) => `${pod} ${count}`);
      byPod.push([name, pods.join(', ')]);
    }
  }
  scene.story.show(['', ...columns(byNode), '', ...columns(byPod), '']);
  const even = byNode.slice(1).every((row) => row.slice(2).every((count) => Number(count) > 0));
  scene.story.claim(even && byNode.length > 1, `${COUNTED_REQUESTS} requests to each address, each node entered, none failed`);
}

export function showServices({ story, cluster, told }: Scene): void {
  const services = [...told].flatMap((key) => cluster.service(key) ?? []);
  for (const namespace of new Set(services.map((s) => s.namespace))) {
    const rows = services
      .filter((service) => service.namespace === namespace)
      .map((service) => ({ ...service, externalIPs: externalAddresses(service), servedPorts: servedPorts(service) }));
    const where = namespace === 'default' ? '' : ` -n ${namespace}`;
    const isAll = cluster.countServices(namespace) === rows.length;
    const names = isAll ? '' : rows.map(({ name }) => ` ${name}`).join('');
    story.show(['', `$ kubectl get svc${names}${where}`, ...servicesTable(rows)]);
  }
}
