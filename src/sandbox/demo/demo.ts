import { once } from 'node:events';
import { type DemoAccount, startAccount } from './aws-account.ts';
import type { AwsScene } from './aws-scene.ts';
import { tellAws, tellEnd } from './aws-story.ts';
import { startCluster } from './cluster.ts';
import { tellOutages } from './outages.ts';
import { type Scene, startController } from './scene.ts';
import { Story } from './story.ts';
import { wrap } from './tables.ts';
import { makeBalancer, showServices, tellTutorials } from './tutorials.ts';
import { servedPorts } from './ways.ts';
import { tellWithoutProvider } from './without-provider.ts';

export interface DemoOptions {
  /** The program and the arguments that start nodeport-lb, without its command. */
  readonly command: readonly string[];
  /** Whose balancers it is about. */
  readonly provider: 'local' | 'aws';
  /** Leave everything running, until `signal` aborts. */
  readonly keep: boolean;
  /** One line for people, without its end. */
  write(line: string): void;
  /** Colours may be used. */
  readonly colour: boolean;
  readonly signal: AbortSignal;
}

/** Whether all that was told was true; `interrupted` when the end was not reached. */
export type DemoOutcome = 'true' | 'untrue' | 'interrupted';

/**
 * Runs a whole cluster on this machine and real requests through it: nothing leaves the loopback device, nothing is left
 * behind.
 */
export async function runDemo(options: DemoOptions): Promise<DemoOutcome> {
  const story = new Story(options.write, options);
  const account = options.provider === 'aws' ? await startAccount() : undefined;
  const cloud = account ? ' and an in-memory AWS' : '';
  story.show([`nodeport-lb demo: an in-memory cluster${cloud}, real requests, all on this machine`]);
  const cluster = await startCluster(options.command, account?.cloud).catch(async (error: unknown) => {
    await account?.stop();
    throw error;
  });
  const givenUp = Promise.withResolvers<string>();
  const local: Scene = { story, cluster, told: new Set(), giveUp: givenUp.resolve };
  const onAws: AwsScene | undefined = account && { ...local, account };
  const scene = onAws ?? local;
  try {
    const telling = onAws ? tellOnAws(onAws, options) : tellAll(scene, options);
    const why = await Promise.race([telling, interrupted(options.signal), givenUp.promise]);
    if (options.signal.aborted) return 'interrupted';
    if (why) story.claim(false, why);
    conclude(scene);
    if (options.keep && !why) {
      tellHowToUse(scene, account);
      const later = await Promise.race([interrupted(options.signal), givenUp.promise]);
      if (later && !options.signal.aborted) story.claim(false, later);
    }
    return story.untrue.length === 0 ? 'true' : 'untrue';
  } finally {
    story.end();
    await scene.controller?.stop();
    await cluster.stop();
    await account?.stop();
  }
}

async function tellOnAws(scene: AwsScene, { keep }: DemoOptions): Promise<undefined> {
  await tellAws(scene);
  if (!keep) await tellEnd(scene);
  return undefined;
}

async function tellAll(scene: Scene, { keep }: DemoOptions): Promise<undefined> {
  await scene.story.part('The cluster', () => introduce(scene));
  await tellTutorials(scene);
  await tellOutages(scene);
  await tellWithoutProvider(scene);
  if (keep) await scene.story.part('All nodes and --provider local again', () => resume(scene));
  return undefined;
}

async function introduce(scene: Scene): Promise<void> {
  const { story, cluster } = scene;
  story.tell(`Kubernetes API in memory at ${cluster.server}`);
  for (const node of cluster.nodes.nodes) story.tell(`node ${node.name} has the address ${node.address}`);
  if (!cluster.loopback.separate)
    story.tell('127.0.0.1 is the only loopback address here: ports that clash are served elsewhere');
  await startController(scene, 'local');
  story.tell(`the pool of addresses for balancers is ${cluster.pool}`);
}

async function resume(scene: Scene): Promise<void> {
  await scene.cluster.nodes.join('worker-2');
  scene.story.tell('worker-2 joins the cluster again');
  await scene.controller?.stop();
  await startController(scene, 'local');
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
  story.show(['', 'The last lines of the controller:', ...(controller?.log ?? []).map((line) => `  ${line}`)]);
}

function tellHowToUse({ story, cluster }: Scene, account: DemoAccount | undefined): void {
  const kubia = cluster.service('default/kubia-loadbalancer');
  const port = kubia && servedPorts(kubia).has(80) ? 8088 : 80;
  const variables = Object.entries(account?.cloud.env ?? {}).map(([name, value]) => `  export ${name}=${value}`);
  story.show([
    '',
    'The cluster is kept until Ctrl-C. In another terminal:',
    '',
    `  export KUBECONFIG=${cluster.kubeconfig}`,
    ...variables,
    '  kubectl get svc,pods,nodes -A -o wide',
    '  kubectl create deployment web --image=x --replicas=3 --port=8080',
    `  kubectl expose deployment web --type=LoadBalancer --port=${port} --target-port=8080`,
    '  kubectl describe svc web',
    account ? '  aws elbv2 describe-load-balancers' : `  curl http://EXTERNAL-IP${port === 80 ? '' : `:${port}`}`,
  ]);
}

async function interrupted(signal: AbortSignal): Promise<undefined> {
  if (!signal.aborted) await once(signal, 'abort');
  return undefined;
}
