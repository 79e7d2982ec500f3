import { instanceOf } from './aws-account.ts';
import {
  AWS_DEADLINE_MS,
  type AwsScene,
  claimRequests,
  claimTargets,
  countCalls,
  hostnameOf,
  KUBIA,
  POLLS,
  PYTHON,
  portsOf,
  showCalls,
  TOMCAT,
} from './aws-scene.ts';
import { keepAsking } from './load.ts';
import { DEADLINE_MS, startController } from './scene.ts';
import { until } from './story.ts';
import { showServices } from './tutorials.ts';

const REQUESTS = 30;
const WORKERS = 4;
/** Requests before the node goes and after. */
const ENOUGH = 200;
/** For connections to a node that leaves to cease. */
const LIMIT_MS = 10_000;
/** After so long without a connection, or without a call, none is under way any more, even on a machine that is held up. */
const QUIET_MS = 1_500;
/** Calls that one Service may cost when it is made; what all of them share comes once. */
const CALLS_A_SERVICE = 10;
const NEW_NODE_PORT = 31_999;
const SCHEME = 'service.beta.kubernetes.io/aws-load-balancer-scheme';
const DRAIN = 'nodeport-lb.io/drain-seconds';

/** Services on AWS, from the first to the last. */
export async function tellAws(scene: AwsScene): Promise<undefined> {
  const { story } = scene;
  await story.part('The account and the cluster', () => introduce(scene));
  await story.part('Three Services get Network Load Balancers', () => makeBalancers(scene));
  await story.part('A label changes, which is nothing to AWS', () => changeNothing(scene));
  await story.part('A nodePort changes', () => changeNodePort(scene));
  await story.part('A scheme changes: another NLB, made before the old one is broken', () => changeScheme(scene));
  await story.part('A node is taken away while requests go on', () => takeNodeAway(scene));
  await story.part('It comes back', () => bringNodeBack(scene));
  return undefined;
}

/** The last Services go, and the account is as it was. */
export async function tellEnd(scene: AwsScene): Promise<void> {
  await scene.story.part('The Services are deleted', () => deleteAll(scene));
}

async function introduce(scene: AwsScene): Promise<void> {
  const { story, cluster, account } = scene;
  story.tell(`Kubernetes API in memory at ${cluster.server}`);
  story.tell(`AWS in memory at ${account.aws.url}: EC2 and Elastic Load Balancing, ${account.aws.region}`);
  for (const { name, address } of cluster.nodes.nodes) story.tell(`node ${name} is instance ${instanceOf(name)}, at ${address}`);
  story.tell(
    'no packet passes an NLB here: the demo checks the targets that AWS has, as an NLB does, and sends its requests to the healthy ones itself',
  );
  account.checkTargets(cluster);
  await startController(scene, 'aws');
  const lastCallAt = () => account.aws.calls.log().at(-1)?.atMs ?? 0;
  await until(() => (lastCallAt() < Date.now() - QUIET_MS ? true : undefined), DEADLINE_MS);
  story.tell(`it has read the account and tried its permissions: ${account.aws.calls.total()} calls`);
}

async function makeBalancers(scene: AwsScene): Promise<void> {
  const { story, cluster, account, told } = scene;
  for (const pods of ['kubia-pods.yaml', 'python-deployment.yaml', 'tomcat-deployment.yaml']) await cluster.apply(pods);
  account.aws.calls.reset();
  const since = performance.now();
  const files = { [KUBIA]: 'kubia-svc-loadbalancer.yaml', [PYTHON]: 'service-python-loadbalancer.yaml' };
  for (const [key, file] of Object.entries({ ...files, [TOMCAT]: 'tomcat-service-loadbalancer.yaml' })) {
    await cluster.apply(file);
    told.add(key);
  }
  for (const key of told) {
    const service = await cluster.serviceWhen(key, (now) => hostnameOf(now) !== undefined, AWS_DEADLINE_MS);
    const hostname = hostnameOf(service) ?? '';
    const afterMs = Math.round(performance.now() - since);
    const isThere = account.balancer(hostname) !== undefined;
    const verdict = cluster.service(key)?.conditions.map(({ reason, message }) => `${reason}: ${message}`);
    story.claim(isThere, `${key.split('/')[1]}: ${hostname}, ${afterMs} ms after it was applied`, verdict?.join('; '));
  }
  const instances = nodeInstances(scene);
  for (const key of told) await claimTargets(scene, key, instances);
  for (const key of told) await claimRequests(scene, key, REQUESTS);
  showServices(scene);
  showCalls(scene);
  const { calls, polls } = countCalls(scene);
  const found = `it was ${calls}`;
  story.claim(
    calls <= CALLS_A_SERVICE * told.size,
    `${calls} calls for ${told.size} Services, and ${polls} reads until AWS was done`,
    found,
  );
}

async function changeNothing(scene: AwsScene): Promise<void> {
  const { story, cluster, account } = scene;
  await settled(scene, KUBIA);
  account.aws.calls.reset();
  await cluster.api.patch('/api/v1/namespaces/default/services/kubia-loadbalancer', { metadata: { labels: { tier: 'web' } } });
  await cluster.serviceNow(KUBIA);
  // A change that AWS must learn of comes after it: once that is done, so is whatever the label had caused.
  await cluster.api.patch('/api/v1/namespaces/default/services/service-python', { spec: { sessionAffinity: 'ClientIP' } });
  await until(() => (account.aws.calls.counts()['ModifyTargetGroupAttributes'] ? true : undefined), DEADLINE_MS);
  const name = account.balancer(hostnameOf(cluster.service(KUBIA)) ?? '')?.name ?? 'none';
  // It may still be read whether the targets are healthy; that has nothing to do with the label.
  const calls = account.aws.calls.log().filter(({ action }) => !POLLS.includes(action));
  const about = calls.filter(({ parameters }) => JSON.stringify(parameters).includes(name));
  story.claim(about.length === 0, 'kubia-loadbalancer has a label more: no call', about.map(({ action }) => action).join(', '));
  story.claim(countCalls(scene).calls > 0, 'service-python has session affinity now: AWS is told');
}

async function changeNodePort(scene: AwsScene): Promise<void> {
  const { story, cluster, account } = scene;
  const service = cluster.service(KUBIA);
  const hostname = hostnameOf(service) ?? '';
  const had = service?.ports[0]?.nodePort;
  let least = Number.POSITIVE_INFINITY;
  const isOver = () => {
    const targets = account.targets(hostname, 80);
    least = Math.min(least, targets.length);
    return targets.length > 0 && targets.every(({ port }) => port === NEW_NODE_PORT) ? true : undefined;
  };
  isOver();
  const ports = [{ port: 80, targetPort: 8080, nodePort: NEW_NODE_PORT }];
  await cluster.api.patch('/api/v1/namespaces/default/services/kubia-loadbalancer', { spec: { ports } });
  const over = await until(isOver, AWS_DEADLINE_MS);
  story.claim(over === true, `the nodePort is ${NEW_NODE_PORT} instead of ${had}: the old targets are gone`, 'they are not');
  const nodes = cluster.nodes.nodes.length;
  story.claim(least >= nodes, `at no moment were fewer than ${nodes} targets registered`, `there were ${least}`);
  await claimTargets(scene, KUBIA, nodeInstances(scene));
  await claimRequests(scene, KUBIA, REQUESTS);
}

async function changeScheme(scene: AwsScene): Promise<void> {
  const { story, cluster, account } = scene;
  const old = hostnameOf(cluster.service(PYTHON)) ?? '';
  const path = '/api/v1/namespaces/default/services/service-python';
  let gaps = 0;
  await cluster.api.patch(path, { metadata: { annotations: { [SCHEME]: 'internal', [DRAIN]: '600' } } });
  const moved = await cluster.serviceWhen(
    PYTHON,
    (now) => {
      const hostname = hostnameOf(now);
      if (hostname === undefined) gaps++;
      return hostname !== undefined && hostname !== old;
    },
    AWS_DEADLINE_MS,
  );
  const hostname = hostnameOf(moved) ?? '';
  const schemes = [old, hostname].map((one) => account.balancer(one)?.scheme);
  story.claim(schemes[1] === 'internal', `service-python: now ${hostname}, an internal one`, `its scheme is ${schemes[1]}`);
  story.claim(gaps === 0, 'its status was never without an address', `${gaps} times`);
  const ready = account.targets(hostname, 3000).filter(({ health }) => health === 'healthy').length;
  story.claim(ready > 0, `the new NLB had ${ready} healthy targets when it was published`);
  story.claim(schemes[0] === 'internet-facing', 'the old NLB is there still, for who knows the old name', 'it is gone');
  await cluster.api.patch(path, { metadata: { annotations: { [DRAIN]: '1' } } });
  const gone = await until(() => (account.balancer(old) ? undefined : true), AWS_DEADLINE_MS);
  story.claim(gone === true, 'it goes when its time is over (600 s, now shortened to 1 s)', 'it is still there');
}

async function takeNodeAway(scene: AwsScene): Promise<void> {
  const { story, cluster, account, told } = scene;
  const node = cluster.nodes.nodes[1];
  const hostname = hostnameOf(cluster.service(KUBIA)) ?? '';
  if (!node) throw new Error('there is no second node');
  await settled(scene, KUBIA);
  account.aws.calls.reset();
  const load = keepAsking(() => account.ask(cluster, hostname, 80), WORKERS);
  const reached = (count: number) => () => (load.landings.length >= count || load.failures.length > 0 ? true : undefined);
  await until(reached(ENOUGH), DEADLINE_MS);
  const off = node.leave(LIMIT_MS, QUIET_MS);
  story.tell(`${node.name} leaves: its Node object and its pods are deleted`);
  await off;
  const gone = load.landings.length;
  await until(reached(gone + ENOUGH), DEADLINE_MS);
  await load.stop();
  const found = `${load.failures.length} failed, the first with: ${load.failures[0]?.message}`;
  story.claim(load.failures.length === 0, `${load.landings.length} requests in all, none failed`, found);
  const left = nodeInstances(scene);
  for (const key of told) await claimTargets(scene, key, left);
  const calls = account.aws.calls.counts()['DeregisterTargets'] ?? 0;
  story.claim(calls === told.size, `one DeregisterTargets for each of ${told.size} target groups`, `there were ${calls}`);
}

async function bringNodeBack(scene: AwsScene): Promise<void> {
  const { story, cluster, account, told } = scene;
  account.aws.calls.reset();
  await cluster.nodes.join('worker-2');
  for (const key of told) await claimTargets(scene, key, nodeInstances(scene));
  const calls = account.aws.calls.counts()['RegisterTargets'] ?? 0;
  story.claim(calls === told.size, `one RegisterTargets for each of ${told.size} target groups`, `there were ${calls}`);
}

async function deleteAll(scene: AwsScene): Promise<void> {
  const { story, cluster, account, told } = scene;
  account.aws.calls.reset();
  const count = told.size;
  for (const key of told) {
    const [namespace, name] = key.split('/');
    await cluster.api.remove(`/api/v1/namespaces/${namespace}/services/${name}`);
  }
  for (const key of [...told]) {
    const gone = await until(() => (cluster.service(key) ? undefined : true), AWS_DEADLINE_MS);
    story.claim(gone === true, `${key.split('/')[1]}: its finalizer is gone, and so is the object`, 'it is still there');
    told.delete(key);
  }
  const left = () =>
    Object.entries(account.aws.leftovers()).flatMap(([kind, ids]: [string, readonly string[]]) =>
      ids.map((id) => `${kind} ${id}`),
    );
  const empty = await until(() => (left().length === 0 ? true : undefined), AWS_DEADLINE_MS);
  story.claim(empty === true, 'the account is as it was: nothing is left over', left().join(', '));
  story.tell(`${account.aws.calls.total()} calls for ${count} Services`);
}

function nodeInstances({ cluster }: AwsScene): readonly string[] {
  return cluster.nodes.nodes.map(({ name }) => instanceOf(name));
}

/** Waits until nothing is under way for the Service. */
async function settled(scene: AwsScene, key: string): Promise<void> {
  const isReady = () => {
    const service = scene.cluster.service(key);
    const all = service && portsOf(scene, service).every(({ targets }) => targets.every(({ health }) => health === 'healthy'));
    return all && service?.conditions.some(({ status }) => status === 'True') ? true : undefined;
  };
  await until(isReady, AWS_DEADLINE_MS);
}
