import { readDnsLabel, readName } from '../config/annotation-values.ts';
import type { PoolConfig } from '../config/config.ts';
import { poolsKind } from '../config/pools.ts';
import { at, list, stringMap, text, texts } from '../kube/objects.ts';
import { NO_BGP } from './plan-adopt-old-metallb.ts';
import { hasBuggyInside, toRange } from './plan-adopt-ranges.ts';

/** What another controller's pools are in ours, and what of them is not. */
export interface Translation {
  readonly pools: readonly PoolConfig[];
  /** One line each. */
  readonly lost: readonly string[];
}

/** Ours is tried by rising numbers, at most this. */
const LAST_PRIORITY = 1_000;

/**
 * Pure. MetalLB's pools and advertisements; its priority 0 is the last, all others are as ours.
 * @see https://metallb.io/apis/
 */
export function translateMetalLb(objects: {
  readonly pools: readonly unknown[];
  readonly l2: readonly unknown[];
  readonly bgp: readonly unknown[];
}): Translation {
  const lost: string[] = [];
  const pools = objects.pools.map((raw, index) => translatePool(raw, index, lost));
  for (const raw of objects.bgp) {
    lost.push(`${sayObject('BGPAdvertisement', raw)}: ${NO_BGP}`);
  }
  for (const raw of objects.l2) {
    const spec = at(raw, 'spec');
    if (list(at(spec, 'nodeSelectors')).length > 0)
      lost.push(
        `${sayObject('L2Advertisement', raw)}: nodeSelectors; which nodes announce is the chart's forwarder.nodeSelector`,
      );
    if (texts(at(spec, 'interfaces')).length > 0)
      lost.push(`${sayObject('L2Advertisement', raw)}: interfaces; an agent announces an address on the link that it belongs to`);
  }
  return judge(pools, lost);
}

function translatePool(raw: unknown, index: number, lost: string[]): PoolConfig {
  const spec = at(raw, 'spec');
  const who = sayObject(text(at(raw, 'kind')) || 'IPAddressPool', raw);
  const own = text(at(at(raw, 'metadata'), 'name'));
  const name = readName(own) ?? `pool-${index + 1}`;
  if (name !== own) lost.push(`${who}: its name is too long for ours; it is ${name} here`);
  const allocation = at(spec, 'serviceAllocation');
  const avoids = at(spec, 'avoidBuggyIPs') === true;
  const entries = texts(at(spec, 'addresses'));
  if (avoids && entries.some(hasBuggyInside))
    lost.push(`${who}: avoidBuggyIPs; addresses within it that end with .0 and .255 are given out, too`);
  if (list(at(allocation, 'namespaceSelectors')).length > 0)
    lost.push(`${who}: namespaceSelectors; name the namespaces in the pool's namespaces`);
  return {
    name,
    addresses: entries.map((entry) => toRange(entry, avoids)),
    namespaces: texts(at(allocation, 'namespaces')),
    serviceSelector: translateSelectors(list(at(allocation, 'serviceSelectors')), who, lost),
    priority: translatePriority(at(allocation, 'priority')),
    autoAssign: at(spec, 'autoAssign') !== false,
    sharePorts: false,
  };
}

function translatePriority(priority: unknown): number {
  return typeof priority === 'number' && priority > 0 ? Math.min(LAST_PRIORITY, Math.floor(priority)) : LAST_PRIORITY;
}

/** Any of several may fit there; ours is one set of labels. */
function translateSelectors(selectors: readonly unknown[], who: string, lost: string[]): Readonly<Record<string, string>> {
  const [only] = selectors;
  if (only === undefined) return {};
  if (selectors.length === 1 && list(at(only, 'matchExpressions')).length === 0) return stringMap(at(only, 'matchLabels'));
  lost.push(`${who}: serviceSelectors; a pool of ours has one set of labels, so it admits every Service here`);
  return {};
}

/**
 * Pure. The ConfigMap of kube-vip's cloud provider: `cidr-NAMESPACE` or `range-NAMESPACE`, and `-global` for those that have none. It
 * looks for any CIDR before any range.
 * @see https://github.com/kube-vip/kube-vip-cloud-provider
 */
export function translateKubeVip(configMap: unknown): Translation {
  const data = stringMap(at(configMap, 'data'));
  const lost: string[] = [];
  const skipEnds = data['skip-end-ips-in-cidr'] === 'true';
  const pools: PoolConfig[] = [];
  for (const [key, value] of Object.entries(data)) {
    const [, form = '', scope = ''] = /^(cidr|range|interface|allow-share)-(.+)$/.exec(key) ?? [];
    if (form === 'interface') lost.push(`${key}; an agent announces an address on the link that it belongs to`);
    if (form !== 'cidr' && form !== 'range') continue;
    const entries = value.split(',').map((entry) => entry.trim());
    if (entries.some((entry) => /^0\.0\.0\.0(\/32)?$/.test(entry))) {
      lost.push(`${key}: addresses by DHCP; a pool of ours names its addresses`);
      continue;
    }
    const isBeaten = form === 'range' && (data[`cidr-${scope}`] ?? data['cidr-global']) !== undefined;
    if (isBeaten) {
      lost.push(`${key}: kube-vip never comes to it, because a cidr is tried before`);
      continue;
    }
    const isGlobal = scope === 'global';
    if (!isGlobal && readDnsLabel(scope) === undefined) continue;
    pools.push({
      name: scope,
      addresses: entries.map((entry) => (skipEnds && form === 'cidr' ? entry : toRange(entry, false))),
      namespaces: isGlobal ? [] : [scope],
      serviceSelector: {},
      priority: isGlobal ? LAST_PRIORITY : 0,
      autoAssign: true,
      sharePorts: /^(1|t|true)$/i.test(data[`allow-share-${scope}`] ?? data['allow-share-global'] ?? ''),
    });
  }
  if (data['search-order'] === 'desc') lost.push('search-order: desc; addresses are given out from the first on');
  return judge(pools, lost);
}

/** What our own reader says of the pools. */
function judge(pools: readonly PoolConfig[], lost: readonly string[]): Translation {
  const faults: string[] = [];
  if (pools.length > 0) {
    const plain = pools.map((pool) => ({ ...pool, addresses: [...pool.addresses], namespaces: [...pool.namespaces] }));
    poolsKind.read(plain, (message, part) => {
      const value = part && 'value' in part ? ` ${JSON.stringify(part.value)}` : '';
      faults.push(`localPools${part?.inside ?? ''}${value}: ${message}`);
    });
  }
  return { pools: faults.length > 0 ? [] : pools, lost: [...lost, ...faults] };
}

export function sayObject(kind: string, raw: unknown): string {
  const metadata = at(raw, 'metadata');
  const namespace = text(at(metadata, 'namespace'));
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${text(at(metadata, 'name'))}`;
}
