import { once } from 'node:events';
import { startCluster } from './cluster.ts';
import { tellOutages } from './outages.ts';
import type { Scene } from './scene.ts';
import { Story } from './story.ts';
import { wrap } from './tables.ts';
import { makeBalancer, showServices, tellTutorials } from './tutorials.ts';
import { tellWithoutProvider } from './without-provider.ts';

export interface DemoOptions {
  /** The program and the arguments that start nodeport-lb, without its command. */
  readonly command: readonly string[];
  /** Leave everything running, until `signal` aborts. */
  readonly keep: boolean;
  /** One line for people, without its end. */
  write(line: string): void;
  /** Colours may be used. */
  readonly colour: boolean;
  readonly signal: AbortSignal;
}

/**
 * Runs a whole cluster on this machine and real requests through it: nothing leaves the loopback device, nothing is left
 * behind. @returns whether all that it told was true, and it was not interrupted before its end
 */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const story = new Story(options.write, options);
  story.show(['nodeport-lb demo: an in-memory cluster, real requests, all on this machine']);
  const cluster = await startCluster(options.command);
  const controller = cluster.startController(['--provider', 'local']);
  const scene: Scene = { story, cluster, controller, told: new Set() };
  try {
    introduce(scene);
    await Promise.race([tellAll(scene, options), interrupted(options.signal)]);
    if (options.signal.aborted && !options.keep) return false;
    conclude(scene);
    if (options.keep) await keep(scene, options);
    return story.untrue.length === 0;
  } finally {
    await scene.controller.stop();
    await cluster.stop();
  }
}

function introduce({ story, cluster }: Scene): void {
  story.chapter('The cluster');
  story.tell(`Kubernetes API in memory at ${cluster.server}`);
  for (const node of cluster.nodes.nodes) story.tell(`node ${node.name} has the address ${node.address}`);
  if (!cluster.loopback.separate)
    story.tell('127.0.0.1 is the only loopback address here: ports that clash are served elsewhere');
  story.tell(`nodeport-lb controller --provider local, with the pool ${cluster.pool}`);
}

async function tellAll(scene: Scene, { keep }: DemoOptions): Promise<void> {
  await tellTutorials(scene);
  await tellOutages(scene);
  await tellWithoutProvider(scene);
  if (keep) await scene.story.part('And --provider local again', () => resume(scene));
}

async function resume(scene: Scene): Promise<void> {
  await scene.controller.stop();
  scene.controller = scene.cluster.startController(['--provider', 'local']);
  const keys = ['default/service-python', 'study/tomcat-service', 'default/my-service'];
  for (const key of keys) scene.told.add(key);
  await makeBalancer(scene, 'kubia-svc-loadbalancer.yaml', 'default/kubia-loadbalancer');
  showServices(scene);
}

function conclude({ story, controller }: Scene): void {
  const seconds = (story.elapsedMs() / 1000).toFixed(1);
  if (story.untrue.length === 0) {
    story.show(['', `All of it was true: ${story.held} claims in ${seconds} s.`]);
    return;
  }
  story.show(['', `Not all of it was true (${story.held} claims held, in ${seconds} s). What was not:`]);
  story.show(story.untrue.flatMap((what) => wrap(what, 76).map((line, i) => `${i === 0 ? '  - ' : '    '}${line}`)));
  story.show(['', 'The last lines of the controller:', ...controller.log.map((line) => `  ${line}`)]);
}

async function keep({ story, cluster }: Scene, { signal }: DemoOptions): Promise<void> {
  story.show([
    '',
    'The cluster is kept until Ctrl-C. In another terminal:',
    '',
    `  export KUBECONFIG=${cluster.kubeconfig}`,
    '  kubectl get svc,pods,nodes -A -o wide',
    '  kubectl create deployment web --image=x --replicas=3 --port=8080',
    '  kubectl expose deployment web --type=LoadBalancer --port=80 --target-port=8080',
    '  kubectl describe svc web',
    "  curl http://$(kubectl get svc web -o jsonpath='{.status.loadBalancer.ingress[0].ip}')",
  ]);
  await interrupted(signal);
}

async function interrupted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
