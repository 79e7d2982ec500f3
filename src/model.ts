/**
 * The words of the whole program: what is wanted of an external load balancer, in Kubernetes' and networking's own terms.
 * Nothing here knows a provider or an API client; everything is data.
 */

export type Protocol = 'TCP' | 'UDP' | 'SCTP';
export type IpFamily = 'IPv4' | 'IPv6';

/** Identity of a Service. The UID tells a Service from its namesake that came later. */
export interface ServiceRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** `namespace/name`, as kubectl users write it. */
export function nameOf(service: { readonly namespace: string; readonly name: string }): string {
  return `${service.namespace}/${service.name}`;
}

/** The nodes that a listener sends to: all of the balancer, but for those of which it is known that they have no endpoint. */
export function nodesBehind(
  { nodes }: Pick<Balancer, 'nodes'>,
  { targetGroup }: { readonly targetGroup: Pick<TargetGroup, 'endpointNodes'> },
): readonly NodeTarget[] {
  const { endpointNodes } = targetGroup;
  if (endpointNodes === undefined) return nodes;
  const names = new Set(endpointNodes);
  return nodes.filter(({ name }) => names.has(name));
}

/**
 * One external load balancer that is wanted. By default each Service has its own; Services with the same
 * `nodeport-lb.io/share` group are members of one.
 */
export interface Balancer {
  /** `namespace/name` of the only member, or `namespace/share:group`, or `share:group` across namespaces. */
  readonly key: string;
  /** Oldest first (creation time, then UID); on balancer-wide settings the first one's word counts. */
  readonly members: readonly Member[];
  /** In the order of the members and of their ports. */
  readonly listeners: readonly Listener[];
  /** Every eligible node, ordered by name. May be one array shared by many balancers. */
  readonly nodes: readonly NodeTarget[];
  /** Families in the order of preference; at least one. */
  readonly families: readonly IpFamily[];
  /** Two families are wished for, not demanded (`ipFamilyPolicy: PreferDualStack`). */
  readonly preferDualStack: boolean;
  readonly address: AddressWish;
  readonly settings: Settings;
}

export interface Member extends ServiceRef {
  /** RFC 3339 creation time. */
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Which addresses are asked for, and which are held already. */
export interface AddressWish {
  /** Addresses asked for by name (`loadBalancerIP`, `nodeport-lb.io/addresses`); empty: any will do. */
  readonly requested: readonly string[];
  /** Pool asked for by name. */
  readonly pool?: string;
  /** Addresses that the balancer held according to the cluster (annotation first, then status); kept while they fit. */
  readonly held: readonly string[];
  /**
   * Those of `held` that the Service's status shows. Its author can write annotations and finalizers, but no status: what is held by
   * an annotation alone is kept only where it could be asked for, too. Absent: none.
   */
  readonly published?: readonly string[];
  /** The addresses are the nodes' own, which is no clash. */
  readonly ofNodes?: boolean;
}

/** A protocol and port at the balancer's addresses, and where it sends. */
export interface Listener {
  readonly service: ServiceRef;
  /** The Service port's name; empty when it has none. */
  readonly name: string;
  readonly protocol: Protocol;
  /** 1 to 65535. */
  readonly port: number;
  readonly targetGroup: TargetGroup;
  /** Other target groups that get a share of the connections. Absent: `targetGroup` gets all. */
  readonly spread?: Spread;
}

/** How new connections are shared out: in proportion to the weights, which are 0 to 999; 0: none. */
export interface Spread {
  /** Of the listener's own target group. */
  readonly weight: number;
  /** Clients stay with the target group that they were given first. Absent: not said. */
  readonly sticky?: boolean;
  readonly others: readonly Share[];
}

/** The part of another Service of the namespace; or of a target group that others made and keep, by the provider's own id. */
export type Share =
  | {
      readonly weight: number;
      readonly service: ServiceRef;
      /** The other Service's port. */
      readonly port: { readonly name: string; readonly port: number };
      readonly targetGroup: TargetGroup;
      /** A listener that ends TLS sends there without TLS. */
      readonly decrypt: boolean;
    }
  | { readonly weight: number; readonly id: string };

export interface TargetGroup {
  /** 1 to 65535; the same on every node. */
  readonly nodePort: number;
  readonly healthCheck: HealthCheck;
  /** `externalTrafficPolicy: Local`: only nodes whose health check passes may get traffic, even if none does. */
  readonly localOnly: boolean;
  /**
   * Names of the nodes that have an endpoint which serves (policy Local): all others are asked in vain. Absent: not known, or nothing that
   * the provider goes by.
   */
  readonly endpointNodes?: readonly string[];
  /** Clients stay on their node for this many seconds (`sessionAffinity: ClientIP`). */
  readonly affinitySeconds?: number;
  /** Clients allowed in, as CIDRs; empty: all. */
  readonly sourceRanges: readonly string[];
}

export interface HealthCheck {
  readonly protocol: 'tcp' | 'http';
  /** 1 to 65535; usually the nodePort itself, healthCheckNodePort, or kube-proxy's 10256. */
  readonly port: number;
  /** Only with `http`. */
  readonly path?: string;
  /** Unset: the provider's own default. */
  readonly intervalSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly healthyThreshold?: number;
  readonly unhealthyThreshold?: number;
}

/** Settings of the whole balancer, from provider-neutral annotations; unset: the provider's own default. */
export interface Settings {
  readonly proxyProtocol?: 'v1' | 'v2';
  /** A connection that a target refuses must be made to another one. */
  readonly retry?: boolean;
  /** How long established connections live on after their target or listener has gone. */
  readonly drainSeconds?: number;
  /** How long a connection may be silent before it is closed. */
  readonly idleTimeoutSeconds?: number;
  readonly publish: 'auto' | 'ip' | 'hostname';
  /** Keep the external balancer when the Service goes. */
  readonly retain: boolean;
  readonly allowDisruption: boolean;
}

/** A node as a target: the port comes from the target group. */
export interface NodeTarget {
  readonly name: string;
  /** In the order of `--node-address-types`; the first that can be reached is used. At least one. */
  readonly addresses: readonly string[];
  /** As the cloud names the machine, for instance `aws:///eu-west-1a/i-0123`. */
  readonly providerId?: string;
  readonly zone?: string;
  /**
   * NodePorts that are published elsewhere: node port to `address:port`, from the node's annotation
   * `nodeport-lb.io/node-port-map` (container runtimes that map ports to the host).
   */
  readonly portMap?: Readonly<Record<number, string>>;
}

/**
 * One idempotent provider call. It names resources logically, never by an id that does not exist yet, so that a plan can be
 * printed before anything is made.
 */
export interface Step {
  /** Kebab-case verb and noun, for instance `open-listener`. */
  readonly kind: string;
  /** One line for people: what will change. */
  readonly summary: string;
  /** One line for people: why. */
  readonly reason: string;
  /** The provider's own call, in one line for people: its name and main parameters. Absent: the summary says it all. */
  readonly call?: string;
  /** A default that the step brings about and that the author may have meant otherwise; told in an event. */
  readonly choice?: string;
  /** Traffic that flows now may be cut by this step. */
  readonly disrupts: boolean;
  /** The step must not be applied before this has come true; the next pass looks again. */
  readonly waitsFor?: { readonly what: 'healthy' | 'active' | 'time'; readonly until?: number };
}

/** What the provider really has. */
export interface Report {
  readonly addresses: readonly PublishedAddress[];
  readonly listeners: readonly ListenerReport[];
  readonly targets: readonly TargetReport[];
  /** The provider has what was wanted and nothing is under way. */
  readonly settled: boolean;
  /** Nothing that we own is left under this key. */
  readonly gone: boolean;
  /**
   * UIDs of members that another balancer of ours still serves, until they can be served here: what is published of them stays.
   * Absent: none.
   */
  readonly elsewhere?: readonly string[];
  /** What people should know though it holds nothing up. Texts that stay the same while nodes come and go. Absent: nothing. */
  readonly notes?: readonly Note[];
  /** What moves the packets, for each Service every way once, in an order of its own. Absent: not known. */
  readonly paths?: readonly PathReport[];
}

/** What moves the packets of a Service's listeners, or of some of them. */
export interface PathReport {
  /** UID of the Service. */
  readonly uid: string;
  /** In the provider's own words: one word. */
  readonly datapath: string;
  /** Why it is this one, as the end of "because", on one line. Stays the same while nodes come and go. */
  readonly why: string;
}

/** Something that is served otherwise than its author may think. */
export interface Note {
  /** Of the error table, whose cure helps. */
  readonly code: string;
  /** What is so, without a full stop. */
  readonly message: string;
  /** Clients may be turned away by it: where nothing is worse, `code` is the condition's reason. */
  readonly impairs?: true;
}

/** One entry of `status.loadBalancer.ingress`. */
export interface PublishedAddress {
  readonly ip?: string;
  readonly hostname?: string;
  /** Only with `ip`. Proxy: kube-proxy must not short-cut traffic to this address. */
  readonly ipMode?: 'VIP' | 'Proxy';
}

export interface ListenerReport {
  /** UID of the Service that the listener belongs to. */
  readonly uid: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** The port where it is really served, when that is another one (no permission to bind a low port). */
  readonly servedPort?: number;
  /** Why it is not served. `code` is of the error table. */
  readonly error?: { readonly code: string; readonly message: string };
}

export interface TargetReport {
  readonly node: string;
  /** The node port that was checked; unset: the node as a whole. */
  readonly port?: number;
  readonly health: 'healthy' | 'unhealthy' | 'unknown' | 'draining';
  /** Why it is not healthy, in words. */
  readonly reason?: string;
  /** Unhealthy because nothing was ever heard from the node, at any of its addresses: there may be no way there. */
  readonly unreachable?: true;
  /** When this was learnt, milliseconds since the epoch. */
  readonly asOf: number;
  /** It is not watched but read now and then, so that people are told when. */
  readonly isRead?: true;
}
