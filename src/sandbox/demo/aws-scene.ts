import type { Service } from '../../kube/objects.ts';
import type { DemoAccount } from './aws-account.ts';
import type { Scene } from './scene.ts';
import { until } from './story.ts';
import { columns } from './tables.ts';
import { externalAddresses } from './ways.ts';

/** What the parts of the AWS demo act on. */
export interface AwsScene extends Scene {
  readonly account: DemoAccount;
}

/** AWS is looked at every 3 s for what it does in its own time; a successor takes several looks. */
export const AWS_DEADLINE_MS = 30_000;
/** Reads that are repeated until AWS is done, for all Services at once. */
export const POLLS: readonly string[] = ['DescribeLoadBalancers', 'DescribeTargetHealth'];

export const KUBIA = 'default/kubia-loadbalancer';
export const PYTHON = 'default/service-python';
export const TOMCAT = 'study/tomcat-service';

export function hostnameOf(service: Service | undefined): string | undefined {
  return service && externalAddresses(service)[0];
}

/** Every port of the Service, with what AWS has behind it. */
export function portsOf({ account }: AwsScene, service: Service) {
  const hostname = hostnameOf(service) ?? '';
  return service.ports.map(({ port, nodePort }) => ({ hostname, port, nodePort, targets: account.targets(hostname, port) }));
}

/** Waits until each port has just these instances as targets at its NodePort, all of them healthy. */
export async function claimTargets(scene: AwsScene, key: string, instances: readonly string[]): Promise<void> {
  const wanted = (nodePort: number) => instances.map((id) => `${id}:${nodePort} healthy`).join();
  const found = () => {
    const service = scene.cluster.service(key);
    return service ? portsOf(scene, service) : [];
  };
  const said = (targets: ReturnType<typeof found>[number]['targets']) =>
    targets
      .map(({ id, port, health }) => `${id}:${port} ${health}`)
      .sort()
      .join();
  const isSo = () => found().length > 0 && found().every(({ nodePort, targets }) => said(targets) === wanted(nodePort));
  const settled = await until(() => (isSo() ? true : undefined), AWS_DEADLINE_MS);
  const ports = found().map(({ nodePort }) => nodePort);
  const what = `${key.split('/')[1]}: ${instances.length} healthy targets, each at nodePort ${ports.join(', ')}`;
  scene.story.claim(
    settled === true,
    what,
    found()
      .map(({ targets }) => said(targets) || 'no targets')
      .join('; '),
  );
}

/** Sends requests as the NLB would, more than there are targets. */
export async function claimRequests(scene: AwsScene, key: string, count: number): Promise<void> {
  const { story, cluster, account } = scene;
  const service = cluster.service(key);
  if (!service) throw new Error(`${key} is not there`);
  const entered = new Set<string>();
  for (const { hostname, port } of portsOf(scene, service)) {
    for (let i = 0; i < count; i++) entered.add((await account.ask(cluster, hostname, port)).entered);
  }
  const nodes = cluster.nodes.nodes.map(({ name }) => name);
  const all = nodes.every((name) => entered.has(name)) && entered.size === nodes.length;
  story.claim(all, `${key.split('/')[1]}: ${count} requests answered, each node entered`, `entered: ${[...entered].join(', ')}`);
}

/** Which calls were made since the counts were reset. */
export interface Counted {
  readonly calls: number;
  readonly polls: number;
}

export function countCalls({ account }: AwsScene): Counted {
  const entries = Object.entries(account.aws.calls.counts());
  const sum = (of: readonly (readonly [string, number])[]) => of.reduce((total, [, count]) => total + count, 0);
  const polls = entries.filter(([action]) => POLLS.includes(action));
  return { calls: sum(entries) - sum(polls), polls: sum(polls) };
}

export function showCalls({ story, account }: AwsScene): void {
  const entries = Object.entries(account.aws.calls.counts()).sort(([, a], [, b]) => b - a);
  const rows = entries.map(([action, count]) => [`  ${action}`, String(count)]);
  story.show(['', ...columns([['AWS ACTION', 'CALLS'], ...rows]), '']);
}
