import type { Reply } from './client.ts';

export interface MetaSeen {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationTimestamp: string;
  readonly generation?: number;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly managedFields?: readonly Managed[];
}

export interface Managed {
  readonly manager: string;
  readonly operation: string;
  readonly subresource?: string;
  readonly fieldsV1: unknown;
}

export interface ListSeen {
  readonly kind: string;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string; readonly remainingItemCount?: number };
  readonly items: readonly { readonly metadata: MetaSeen }[];
}

export interface ServiceSeen {
  readonly metadata: MetaSeen;
  readonly spec: {
    readonly type: string;
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly healthCheckNodePort?: number;
    readonly ports: readonly {
      readonly name?: string;
      readonly port: number;
      readonly protocol: string;
      readonly nodePort: number;
    }[];
  };
  readonly status: { readonly loadBalancer: { readonly ingress?: readonly unknown[] }; readonly conditions?: readonly unknown[] };
}

export function metaOf(reply: Reply): MetaSeen {
  return (reply.body as { metadata: MetaSeen }).metadata;
}

export function nameIn(reply: Reply): string {
  return metaOf(reply).name;
}

export function listIn(reply: Reply): ListSeen {
  return reply.body as ListSeen;
}

export function serviceIn(reply: Reply): ServiceSeen {
  return reply.body as ServiceSeen;
}

/** Fields that a Status names, in order. */
export function fieldsOf(reply: Reply): readonly string[] {
  const { details } = reply.body as { details?: { causes?: readonly { field: string }[] } };
  return (details?.causes ?? []).map((cause) => cause.field);
}
