import { findForeign } from '../config/foreign-annotations.ts';
import { Refusal } from '../errors.ts';
import type { Service, ServicePort } from '../kube/objects.ts';
import { nameOf } from '../model.ts';

export const SHARE = 'nodeport-lb.io/share';

/** A DNS label, so that a group's name fits into tags and metrics. */
const GROUP_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * The key of the balancer that a Service belongs to: its own name, or its share group's. A `:` cannot be in an object's
 * name, so groups never meet Services.
 */
export function balancerKeyOf(service: Service, shareAcrossNamespaces: boolean): string {
  const group = groupOf(service);
  if (group === undefined || !GROUP_NAME.test(group)) return nameOf(service);
  return shareAcrossNamespaces ? `share:${group}` : `${service.namespace}/share:${group}`;
}

/** Ours beats MetalLB's `allow-shared-ip`, whose key is as good a name for a group. */
function groupOf({ annotations }: Service): string | undefined {
  return annotations[SHARE] ?? findForeign(annotations, 'share')?.value;
}

/** Whether the balancer's members are all in these namespaces (none given: in any), so that who sees only these sees them all. */
export function isKeyIn(key: string, namespaces: readonly string[]): boolean {
  const [namespace = '', name] = key.split('/');
  return namespaces.length === 0 || name === undefined || namespaces.includes(namespace);
}

/** Oldest first: creation time, then UID, so that every replica and every restart gives the same order. */
export function byAge(a: { readonly createdAt: string; readonly uid: string }, b: typeof a): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
  return a.uid < b.uid ? -1 : 1;
}

export interface PortsOfGroup {
  readonly admitted: readonly Service[];
  readonly refused: readonly { readonly service: Service; readonly refusal: Refusal }[];
}

/**
 * Admits the members of a share group, oldest first: a Service whose port an older one has is refused as a whole and told
 * whom it clashes with.
 */
export function admitMembers(members: readonly Service[]): PortsOfGroup {
  const holder = new Map<string, Service>();
  const admitted: Service[] = [];
  const refused: { service: Service; refusal: Refusal }[] = [];
  for (const service of members) {
    const clash = service.ports.find((port) => holder.has(portName(port)));
    if (clash) {
      refused.push({ service, refusal: sayClash(service, clash, holder.get(portName(clash))!) });
      continue;
    }
    for (const port of service.ports) holder.set(portName(port), service);
    admitted.push(service);
  }
  return { admitted, refused };
}

function sayClash(service: Service, port: ServicePort, holder: Service): Refusal {
  return new Refusal(
    'SharePortClash',
    `Port ${portName(port)} of share group ${JSON.stringify(groupOf(service))} is held by the older Service ${nameOf(holder)}`,
  );
}

function portName(port: { readonly port: number; readonly protocol: string }): string {
  return `${port.port}/${port.protocol}`;
}

/** Why a `share` annotation cannot be a group's name, or undefined. */
export function shareProblem(service: Service): Refusal | undefined {
  const group = service.annotations[SHARE];
  if (group === undefined || GROUP_NAME.test(group)) return undefined;
  const across = group.includes('/') ? ' A group holds Services of one namespace.' : '';
  return new Refusal(
    group.includes('/') ? 'ShareAcrossNamespaces' : 'AnnotationInvalid',
    `Annotation ${SHARE}: ${JSON.stringify(group)} is not a group's name (lower-case letters, digits and "-", at most 63).${across}`,
  );
}
