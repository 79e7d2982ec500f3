import type { Node, Service } from './objects.ts';

/**
 * The narrow port: every call to the Kubernetes API that the program makes, and no other. The table is the single truth for
 * the client's URLs and, later, for the chart's RBAC.
 */
export const calls = {
  listServices: { verb: 'list', group: '', version: 'v1', resource: 'services' },
  watchServices: { verb: 'watch', group: '', version: 'v1', resource: 'services' },
  getService: { verb: 'get', group: '', version: 'v1', resource: 'services' },
  patchServiceStatus: { verb: 'patch', group: '', version: 'v1', resource: 'services', subresource: 'status' },
  listNodes: { verb: 'list', group: '', version: 'v1', resource: 'nodes' },
  watchNodes: { verb: 'watch', group: '', version: 'v1', resource: 'nodes' },
  createEvent: { verb: 'create', group: '', version: 'v1', resource: 'events' },
  patchEvent: { verb: 'patch', group: '', version: 'v1', resource: 'events' },
  getLease: { verb: 'get', group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  listLeases: { verb: 'list', group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  createLease: { verb: 'create', group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  updateLease: { verb: 'update', group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  watchLeases: { verb: 'watch', group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  listConfigMaps: { verb: 'list', group: '', version: 'v1', resource: 'configmaps' },
  watchConfigMaps: { verb: 'watch', group: '', version: 'v1', resource: 'configmaps' },
  getConfigMap: { verb: 'get', group: '', version: 'v1', resource: 'configmaps' },
  createConfigMap: { verb: 'create', group: '', version: 'v1', resource: 'configmaps' },
  updateConfigMap: { verb: 'update', group: '', version: 'v1', resource: 'configmaps' },
  listDaemonSets: { verb: 'list', group: 'apps', version: 'v1', resource: 'daemonsets' },
  listDeployments: { verb: 'list', group: 'apps', version: 'v1', resource: 'deployments' },
  listEndpointSlices: { verb: 'list', group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices' },
  watchEndpointSlices: { verb: 'watch', group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices' },
} as const;

/** What only a command in a person's hands asks for, with that person's own rights: the chart grants none of it. */
export const guestCalls = {
  listIpAddressPools: { verb: 'list', group: 'metallb.io', version: 'v1beta1', resource: 'ipaddresspools' },
  listAddressPools: { verb: 'list', group: 'metallb.io', version: 'v1beta1', resource: 'addresspools' },
  listL2Advertisements: { verb: 'list', group: 'metallb.io', version: 'v1beta1', resource: 'l2advertisements' },
  listBgpAdvertisements: { verb: 'list', group: 'metallb.io', version: 'v1beta1', resource: 'bgpadvertisements' },
} as const;

/** By name, whoever makes it. */
export const everyCall = { ...calls, ...guestCalls } as const;

export type CallName = keyof typeof everyCall;

/** What the API server answered when it did not do what was asked. Mapped once, in the client, from status and reason. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /**
   * metav1.Status reason: NotFound, Conflict, Forbidden, Invalid, Expired, …; NamespaceTerminating instead of Forbidden when that
   * is the cause; `Unreachable` or `Timeout` when no answer came; `Withheld` when it was not sent, because the caller may not write.
   */
  readonly reason: string;
  /** From the Retry-After header, when there was one. */
  readonly retryAfterMs?: number;

  constructor(status: number, reason: string, message: string, options?: ErrorOptions & { retryAfterMs?: number }) {
    super(message, options);
    this.status = status;
    this.reason = reason;
    if (options?.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** One page of a list, still as the API's JSON. */
export interface Page {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  /** Continue token; empty on the last page. */
  readonly next: string;
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: unknown;
}

/** Which objects of a collection; absent: all. */
export interface Selectors {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** Asked right before a request leaves, and again before each repeat of it: false, and it is not sent. */
export type MaySend = () => boolean;

/** Plain calls with plain JSON; every method rejects with `KubeError`. One instance is shared by the whole process. */
export interface KubeApi {
  /** For people: context name, server URL. */
  readonly where: { readonly context: string; readonly server: string };
  /** @param namespace empty: all namespaces, or a resource without any */
  list(call: CallName, namespace: string, query: { readonly limit?: number; readonly next?: string } & Selectors): Promise<Page>;
  /**
   * One watch connection, with bookmarks. Resolves when the server ends it; rejects when it breaks, falls silent, or `signal`
   * aborts, and after an ERROR event with that event's status (410 when the resourceVersion is too old).
   */
  watch(
    call: CallName,
    namespace: string,
    query: { readonly resourceVersion: string; readonly timeoutSeconds: number } & Selectors,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
    /** The server has accepted the watch; events may be long in coming. */
    onOpen?: () => void,
  ): Promise<void>;
  get(call: CallName, namespace: string, name: string): Promise<unknown>;
  create(call: CallName, namespace: string, body: object, may?: MaySend): Promise<unknown>;
  update(call: CallName, namespace: string, name: string, body: object): Promise<unknown>;
  /** Strategic merge patch, or JSON merge patch. Sent with our field manager. */
  patch(
    call: CallName,
    namespace: string,
    name: string,
    body: object,
    type: 'strategic' | 'merge',
    may?: MaySend,
  ): Promise<unknown>;
  close(): Promise<void>;
}

/** Name under which the API server's managedFields keep what we wrote. */
export const FIELD_MANAGER = 'nodeport-lb';

/** What the watches keep for the controller: current objects by key, and who is told of a change. */
export interface Store<T> {
  /** By `namespace/name`, or name alone where there is no namespace. */
  get(key: string): T | undefined;
  all(): Iterable<T>;
  /** Puts the answer to a write of ours in, unless something newer is there already. */
  put(object: T): void;
}

export type Services = Store<Service>;
export type Nodes = Store<Node>;
