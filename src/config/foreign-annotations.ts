import { readDnsLabel } from './annotation-values.ts';

/**
 * Annotations of MetalLB and kube-vip that say what one of ours says, so that manifests written for them work here. Pure.
 * @see https://metallb.io/usage/ and https://kube-vip.io/docs/usage/kubernetes-services/
 */

/** What the annotations mean here. The first that is set counts: MetalLB's newer prefix beats its older one. */
const MEANINGS = {
  addresses: ['metallb.io/loadBalancerIPs', 'metallb.universe.tf/loadBalancerIPs', 'kube-vip.io/loadbalancerIPs'],
  pool: ['metallb.io/address-pool', 'metallb.universe.tf/address-pool'],
  share: ['metallb.io/allow-shared-ip', 'metallb.universe.tf/allow-shared-ip'],
} as const;

export type ForeignMeaning = keyof typeof MEANINGS;

/** kube-vip's way to ask for an address from DHCP. */
const DHCP = ['0.0.0.0', '::'];

export interface ForeignAnnotation {
  readonly annotation: string;
  /** Our annotation's name, without the prefix. */
  readonly meaning: ForeignMeaning;
  /** As ours would have it; undefined: it means nothing here. */
  readonly value?: string;
}

/** What stands in the place of this annotation of ours; undefined: nothing does. */
export function findForeign(
  annotations: Readonly<Record<string, string>>,
  meaning: ForeignMeaning,
): ForeignAnnotation | undefined {
  return listForeign(annotations).find((one) => one.meaning === meaning);
}

/** Every annotation of theirs that has a meaning here, those that count first. */
export function listForeign(annotations: Readonly<Record<string, string>>): readonly ForeignAnnotation[] {
  return (Object.keys(MEANINGS) as ForeignMeaning[]).flatMap((meaning) =>
    MEANINGS[meaning].flatMap((annotation): readonly ForeignAnnotation[] => {
      const text = Object.hasOwn(annotations, annotation) ? annotations[annotation] : undefined;
      if (typeof text !== 'string' || text.trim() === '') return [];
      const value = translate(meaning, text.trim());
      return [{ annotation, meaning, ...(value === undefined ? {} : { value }) }];
    }),
  );
}

function translate(meaning: ForeignMeaning, text: string): string | undefined {
  if (meaning === 'addresses') return DHCP.includes(text) ? undefined : text;
  return meaning === 'share' ? shareName(text) : text;
}

/** A sharing key of MetalLB is any text, a group's name of ours a DNS label. */
function shareName(key: string): string {
  return readDnsLabel(key) ?? `key-${hash(key, 0x811c9dc5)}${hash(key, 0x01000193)}`;
}

/** FNV-1a, in eight hexadecimal digits. */
function hash(text: string, seed: number): string {
  let value = seed;
  for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0)!, 0x01000193);
  return (value >>> 0).toString(16).padStart(8, '0');
}
