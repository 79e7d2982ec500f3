import type { Lab } from './lab.ts';
import type { Process } from './process.ts';
import { until } from './until.ts';

/** The contract's own names, written down here and not read from the product: other people's scripts depend on them. */
export const FINALIZER = 'nodeport-lb.io/cleanup';
export const CONDITION = 'nodeport-lb.io/Ready';
export const CLASS = 'nodeport-lb.io/lb';
/** The pool that there is without configuration, out of cluster: 127.0.0.32/27. */
export const DEFAULT_POOL = /^127\.0\.0\.(3[2-9]|[45]\d|6[0-3])$/;

export interface ControllerRun {
  /** Default `local`. */
  readonly provider?: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Default: the product's own user's, straight to the API server. */
  readonly kubeconfig?: string;
}

/** The controller as its own process in the hub, with a kubeconfig. */
export function startController(lab: Lab, run: ControllerRun = {}): Process {
  const { provider = 'local', args = [], env = {}, kubeconfig = lab.plane.users.product.kubeconfig } = run;
  return lab.program('controller', ['controller', '--kubeconfig', kubeconfig, '--provider', provider, ...args], env);
}

export interface ServiceObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly generation?: number;
    readonly deletionTimestamp?: string;
    readonly finalizers?: readonly string[];
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly type: string;
    readonly clusterIP?: string;
    readonly healthCheckNodePort?: number;
    readonly ports?: readonly {
      readonly name?: string;
      readonly port: number;
      readonly nodePort?: number;
      readonly protocol?: string;
    }[];
  };
  readonly status: {
    readonly loadBalancer: { readonly ingress?: readonly IngressObject[] };
    readonly conditions?: readonly ConditionObject[];
  };
}

export interface IngressObject {
  readonly ip?: string;
  readonly hostname?: string;
  readonly ipMode?: string;
  readonly ports?: readonly { readonly port: number; readonly protocol: string; readonly error?: string }[];
}

export interface ConditionObject {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

export interface EventObject {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count?: number;
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string };
}

const SETTLE_MS = 30_000;

/** A Service as a person sees it from outside: what is published, why not, and whether it answers. */
export class LabService {
  readonly namespace: string;
  readonly name: string;
  readonly #lab: Lab;

  constructor(lab: Lab, namespace: string, name: string) {
    this.#lab = lab;
    this.namespace = namespace;
    this.name = name;
  }

  get path(): string {
    return `/api/v1/namespaces/${this.namespace}/services/${this.name}`;
  }

  read(): Promise<ServiceObject> {
    return this.#lab.api.get(this.path);
  }

  /** JSON merge patch of the object, as admin. */
  patch(body: object): Promise<ServiceObject> {
    return this.#lab.api.patch(this.path, body);
  }

  annotate(annotations: Readonly<Record<string, string | null>>): Promise<ServiceObject> {
    return this.patch({ metadata: { annotations } });
  }

  async condition(): Promise<ConditionObject | undefined> {
    const { status } = await this.read();
    return status.conditions?.find((condition) => condition.type === CONDITION);
  }

  /** Waits until it is Ready and published. @returns its first address */
  address(withinMs = SETTLE_MS): Promise<string> {
    return until(
      async () => {
        const object = await this.read();
        const ready = object.status.conditions?.find((condition) => condition.type === CONDITION);
        const ip = object.status.loadBalancer.ingress?.[0]?.ip;
        if (ready?.status !== 'True' || ip === undefined) throw new Error(`address ${ip}, ${ready?.reason}: ${ready?.message}`);
        return ip;
      },
      { withinMs, what: `${this.namespace}/${this.name} is ready and has an address` },
    );
  }

  /** Waits until it is not Ready for just this reason. @returns the condition's message */
  refused(reason: string, withinMs = SETTLE_MS): Promise<string> {
    return until(
      async () => {
        const found = await this.condition();
        if (found?.status !== 'False' || found.reason !== reason)
          throw new Error(`${found?.status} ${found?.reason}: ${found?.message}`);
        return found.message;
      },
      { withinMs, what: `${this.namespace}/${this.name} is refused with ${reason}` },
    );
  }

  /** Waits until nothing of ours is on it: status, condition, finalizer, annotations. */
  async clean(withinMs = SETTLE_MS): Promise<void> {
    await until(
      async () => {
        const left = marksOf(await this.read());
        if (left.length > 0) throw new Error(`left: ${left.join(', ')}`);
        return true;
      },
      { withinMs, what: `nothing of ours is on ${this.namespace}/${this.name}` },
    );
  }

  /** Waits until the object itself is gone. */
  async deleted(withinMs = SETTLE_MS): Promise<void> {
    await until(async () => (await this.#lab.api.find(this.path)) === undefined, {
      withinMs,
      what: `${this.namespace}/${this.name} is gone`,
    });
  }

  /** Waits until a request through the address is answered, and says by whom. */
  async answers(ip: string, port: number, withinMs = SETTLE_MS): Promise<string> {
    const url = `http://${ip}:${port}/`;
    return until(async () => (await this.#lab.client.json(url, 2_000)).pod, { withinMs, what: `${url} answers` });
  }

  /** Waits until nobody listens there any more. */
  async closed(ip: string, port: number, withinMs = SETTLE_MS): Promise<void> {
    await until(async () => (await this.#lab.client.knock(ip, port)) === 'refused', {
      withinMs,
      what: `${ip}:${port} is closed`,
    });
  }

  async events(): Promise<readonly EventObject[]> {
    const { items } = await this.#lab.api.get<{ items: readonly EventObject[] }>(`/api/v1/namespaces/${this.namespace}/events`);
    return items.filter((event) => event.involvedObject.kind === 'Service' && event.involvedObject.name === this.name);
  }

  /** Waits for an event whose reason and message fit. */
  event(reason: string, message: RegExp, withinMs = SETTLE_MS): Promise<EventObject> {
    return until(async () => (await this.events()).find((event) => event.reason === reason && message.test(event.message)), {
      withinMs,
      what: `${this.namespace}/${this.name} has an event ${reason} with ${message}`,
    });
  }
}

/** What of ours is on a Service, in words. */
export function marksOf(object: ServiceObject): readonly string[] {
  const annotations = Object.keys(object.metadata.annotations ?? {}).filter((name) =>
    /^nodeport-lb\.io\/(held-|targets|served-|datapath)/.test(name),
  );
  return [
    ...(object.status.loadBalancer.ingress ? [`status ${JSON.stringify(object.status.loadBalancer.ingress)}`] : []),
    ...(object.status.conditions?.some((condition) => condition.type === CONDITION) ? ['condition'] : []),
    ...(object.metadata.finalizers?.includes(FINALIZER) ? ['finalizer'] : []),
    ...annotations.map((name) => `annotation ${name}`),
  ];
}

export interface ServiceWish {
  readonly type?: string;
  readonly selector?: Readonly<Record<string, string>>;
  readonly ports?: readonly object[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** Further fields of the spec. */
  readonly spec?: object;
}

/** Makes a Service of type LoadBalancer, 80 to the port named http of pods with `app: web`, unless the wish says otherwise. */
export async function makeService(lab: Lab, namespace: string, name: string, wish: ServiceWish = {}): Promise<LabService> {
  const {
    type = 'LoadBalancer',
    selector = { app: 'web' },
    ports = [{ port: 80, targetPort: 'http' }],
    annotations = {},
    spec = {},
  } = wish;
  await lab.api.create(`/api/v1/namespaces/${namespace}/services`, {
    metadata: { name, annotations },
    spec: { type, selector, ports, ...spec },
  });
  return new LabService(lab, namespace, name);
}

/** How often each node was entered through the NodePort while `during` ran, in the order of the lab's nodes. */
export async function entriesDuring(lab: Lab, nodePort: number, during: () => Promise<void>): Promise<readonly number[]> {
  const { nodes } = lab;
  const before = await Promise.all(nodes.map((node) => node.entered(nodePort)));
  await during();
  const after = await Promise.all(nodes.map((node) => node.entered(nodePort)));
  return after.map((count, i) => count - (before[i] ?? 0));
}

/** Waits until just these nodes are entered by a burst through the address. */
export async function enteredBy(
  lab: Lab,
  service: LabService,
  ip: string,
  nodes: readonly string[],
  withinMs = SETTLE_MS,
): Promise<void> {
  const { ports } = (await service.read()).spec;
  const port = ports?.[0]?.port ?? 80;
  const nodePort = ports?.[0]?.nodePort ?? 0;
  const wanted = [...nodes].sort().join();
  await until(
    async () => {
      const counts = await entriesDuring(lab, nodePort, async () => void (await lab.client.burst(`http://${ip}:${port}/`, 30)));
      const found = lab.nodes.filter((_, i) => (counts[i] ?? 0) > 0).map((node) => node.name);
      if (found.sort().join() !== wanted) throw new Error(`entered were ${found.join(', ') || 'none'}`);
      return true;
    },
    { withinMs, what: `requests to ${ip}:${port} enter just ${wanted}` },
  );
}
