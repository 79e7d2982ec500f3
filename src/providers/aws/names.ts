import { createHash } from 'node:crypto';
import type { Tags } from './picture.ts';

/**
 * Ownership marks. A resource is ours when it carries the cluster's tag and a balancer's; names only help people, and make a
 * create that is repeated meet its own first try.
 */
export const TAG = {
  cluster: 'nodeport-lb.io/cluster',
  /** The balancer key, or `SHARED`. */
  balancer: 'nodeport-lb.io/balancer',
  /** UIDs of the Services, separated by blanks; as many as fit. */
  services: 'nodeport-lb.io/service-uids',
  /** On target groups: the listener's `PORT/PROTOCOL`. */
  listener: 'nodeport-lb.io/listener',
  /** On NLBs: fingerprint of the configuration that was applied last, true once every target group is attached. */
  applied: 'nodeport-lb.io/applied',
  /** On NLBs: fingerprint of the instances that are registered, or `AS_ALL`. On the shared group: that of all such NLBs. */
  targets: 'nodeport-lb.io/targets',
  /** On target groups that others use, too: which instances are registered by us (`own-targets.ts`); goes on in `own-targets-2` and so on. */
  own: 'nodeport-lb.io/own-targets',
  /** Milliseconds since the epoch: nothing uses it since then, and it goes after the grace time. */
  retired: 'nodeport-lb.io/retired-at',
  /** On NLBs that served before: which zones come to it and which go (`plan-zones.ts`). */
  zones: 'nodeport-lb.io/zones',
  /** On NLBs that others made: only our listeners, target groups and tags ever go. */
  adopted: 'nodeport-lb.io/adopted',
  /** On NLBs: kept when the Service goes. */
  retain: 'nodeport-lb.io/retain',
} as const;

/** Value of the balancer tag on what all balancers of a cluster share; a `:` at the front is in no balancer's key. */
export const SHARED = ':shared';
/** The name of the shared backend group in steps. */
export const SHARED_GROUP = ':backend';

/** Value of a fingerprint while what it is about changes: a start that meets it reads what is really there. */
export const CHANGING = 'changing';

/** In the place of an NLB's fingerprint of instances: it has those that are noted on the shared group, once for all NLBs. */
export const AS_ALL = 'as-all';

/** Longest value of a tag. @see https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html */
const TAG_VALUE_MAX = 256;

/** Letters and digits that tell things apart: 40 bits, so one clash in a million pairs of a million names. */
export function shortHash(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 10);
}

/** At most 32 letters, digits and hyphens, as NLBs and target groups allow: `np-NAMESPACE-NAME-HASH`. */
export function resourceName(key: string, ...identity: readonly unknown[]): string {
  const [namespace = '', name = ''] = key.includes('/') ? key.split('/', 2) : ['', key];
  const plain = (text: string): string => text.replace(/[^A-Za-z0-9]/g, '').slice(0, 8);
  const parts = ['np', plain(namespace), plain(name), shortHash(key, ...identity)];
  return parts.filter((part) => part !== '').join('-');
}

export function ownershipTags(cluster: string, key: string, uids: readonly string[]): Tags {
  return { [TAG.cluster]: cluster, [TAG.balancer]: key, [TAG.services]: joinUids(uids) };
}

export function joinUids(uids: readonly string[]): string {
  const sorted = [...new Set(uids)].sort();
  while (sorted.join(' ').length > TAG_VALUE_MAX) sorted.pop();
  return sorted.join(' ');
}

export function uidsOf(tags: Tags): readonly string[] {
  return (tags[TAG.services] ?? '').split(' ').filter((uid) => uid !== '');
}
