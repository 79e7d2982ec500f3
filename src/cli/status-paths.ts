import { readAnnotations } from '../config/annotations.ts';
import { DATAPATH } from '../controller/claim.ts';
import type { Service } from '../kube/objects.ts';

/** What moves a Service's packets, and why. */
export interface PathStatus {
  readonly datapath: string;
  readonly why: string;
}

/** The controller's note, a line for each: `userspace: the reason`. Pure. */
export function readPaths(service: Pick<Service, 'annotations'>): readonly PathStatus[] {
  const lines = (service.annotations[DATAPATH] ?? '').split('\n').slice(0, MAX_PATHS);
  return lines.flatMap((line) => {
    const match = /^([a-z-]{1,30}): (.{1,400})$/.exec(line);
    return match ? [{ datapath: match[1]!, why: match[2]! }] : [];
  });
}

/** Whoever may write Services may write the note. */
const MAX_PATHS = 8;

/**
 * Whether pods see the addresses of their clients, and what hides them else. Pure.
 * @param provider that holds the balancer; empty: none, then nothing is said
 */
export function describeClientAddress(service: Service, provider: string, paths: readonly PathStatus[]): string {
  if (provider === '') return '';
  const asked = readAnnotations(service.annotations).proxyProtocol;
  if (asked !== undefined || paths.some(({ why }) => why.includes('PROXY protocol'))) {
    return `in the PROXY protocol ${asked ? `${asked} ` : ''}header`;
  }
  if (provider === 'local' && paths.length === 0) return '';
  const hiding = provider === 'local' ? hiders(paths) : [];
  if (service.externalTrafficPolicy !== 'Local') hiding.push('kube-proxy (externalTrafficPolicy Cluster)');
  return hiding.length > 0 ? `hidden by ${hiding.join(' and ')}` : 'kept';
}

function hiders(paths: readonly PathStatus[]): string[] {
  const names = new Set(paths.map(({ datapath }) => datapath));
  const userspace = names.has('userspace') ? ['userspace (connections of its own)'] : [];
  return [...userspace, ...(names.has('nftables') ? ['nftables (masquerade)'] : [])];
}
