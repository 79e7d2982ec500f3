import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { readService, type Service } from '../../kube/objects.ts';
import { startKube } from '../kube/kube.ts';
import { findNodeAddresses, type Loopback } from '../nodes/addresses.ts';
import { ApiClient } from '../nodes/api.ts';
import { follow } from '../nodes/follow.ts';
import { type SandboxNodes, startNodes } from '../nodes/nodes.ts';
import { ControllerProcess, findFreePort } from './controller-process.ts';
import { apply } from './manifests.ts';

/** Everything that the demo runs on, in memory and in one folder for temporary files. */
export interface DemoCluster {
  readonly server: string;
  readonly api: ApiClient;
  readonly nodes: SandboxNodes;
  readonly loopback: Loopback;
  /** Path of the kubeconfig. */
  readonly kubeconfig: string;
  /** Addresses that balancers may have. */
  readonly pool: string;
  /** Applies a file of the demo's manifests. */
  apply(file: string): Promise<void>;
  /** The Service as it is now. @param key `namespace/name` */
  service(key: string): Service | undefined;
  /** How many Services a namespace has. */
  countServices(namespace: string): number;
  /** Waits until the Service is known as the API has it at this moment. @returns undefined when there is none */
  serviceNow(key: string): Promise<Service | undefined>;
  /** Waits for a Service to be as wished. @returns undefined after `deadlineMs` */
  serviceWhen(key: string, wish: (service: Service) => boolean, deadlineMs: number): Promise<Service | undefined>;
  /** A controller of this cluster as a process of its own. @param args beside kubeconfig and pools */
  startController(args: readonly string[]): Promise<ControllerProcess>;
  /** Ends everything and removes the temporary files. */
  stop(): Promise<void>;
}

const NODES = 3;
/** A watch is never as late as this. */
const WATCH_DELAY_MS = 2_000;

/** Where the cluster is said to run. */
export interface Cloud {
  /** spec.providerID of the node with this number, from 1. */
  providerId(number: number): string;
  /** Variables of the controller's. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * @param command the program and the arguments that start nodeport-lb
 * @param cloud undefined: on nobody's machines but this one
 */
export async function startCluster(command: readonly string[], cloud?: Cloud): Promise<DemoCluster> {
  const endings: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  try {
    return { ...(await startParts(command, endings, cloud)), stop };
  } catch (error) {
    await stop(); // what was started before the part that failed
    throw error;
  }
}

async function startParts(
  command: readonly string[],
  endings: (() => Promise<void>)[],
  cloud: Cloud | undefined,
): Promise<Omit<DemoCluster, 'stop'>> {
  const kube = await startKube();
  endings.push(() => kube.close());
  const loopback = await findNodeAddresses(NODES);
  const nodes = await startNodes({ api: { url: kube.url }, addresses: loopback.nodes, ...cloud });
  endings.push(() => nodes.stop());
  const api = new ApiClient({ url: kube.url });
  const services = followServices(api);
  endings.push(async () => {
    await services.close();
    api.close();
  });
  const folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-demo-'));
  endings.push(() => rm(folder, { recursive: true, force: true }));
  const pool = loopback.block === undefined ? '127.0.0.1' : `${loopback.block}.32/27`;
  const kubeconfig = join(folder, 'kubeconfig');
  const config = join(folder, 'nodeport-lb.yaml');
  await kube.writeKubeconfig(kubeconfig);
  await writeFile(config, stringify({ localPools: [{ name: 'demo', addresses: [pool], sharePorts: !loopback.separate }] }));
  const own = ['--kubeconfig', kubeconfig, '--config', config, '--local-port-fallback', 'true'];
  return {
    server: kube.url,
    api,
    nodes,
    loopback,
    kubeconfig,
    pool,
    apply: (file) => apply(api, file),
    service: services.get,
    countServices: services.countIn,
    serviceNow: async (key) => {
      const [namespace, name] = key.split('/');
      const now = readService(await api.get(`/api/v1/namespaces/${namespace}/services/${name}`));
      const since = Number(now?.resourceVersion);
      return services.when(key, (service) => Number(service.resourceVersion) >= since, WATCH_DELAY_MS);
    },
    serviceWhen: services.when,
    startController: async (args) =>
      new ControllerProcess(command, [...own, ...args], { httpPort: await findFreePort(), env: cloud?.env ?? {} }),
  };
}

function followServices(api: ApiClient) {
  const waiting = new Set<() => void>();
  const followed = follow(api, '/api/v1/services', () => {
    for (const look of [...waiting]) look();
  });
  const get = (key: string) => readService(followed.objects.get(key));
  return {
    get,
    countIn: (namespace: string) => [...followed.objects.keys()].filter((key) => key.startsWith(`${namespace}/`)).length,
    when: (key: string, wish: (service: Service) => boolean, deadlineMs: number) =>
      new Promise<Service | undefined>((resolve) => {
        const end = (service?: Service) => {
          waiting.delete(look);
          clearTimeout(deadline);
          resolve(service);
        };
        const look = () => {
          const service = get(key);
          if (service && wish(service)) end(service);
        };
        const deadline = setTimeout(end, deadlineMs);
        waiting.add(look);
        look();
      }),
    close: () => followed.close(),
  };
}
