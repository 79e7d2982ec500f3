import { parse } from 'yaml';
import { explain } from '../errors.ts';
import { at, list, text, texts } from '../kube/objects.ts';

/** What MetalLB was told before it had IPAddressPools, as these. */
export interface OldMetalLb {
  /** As IPAddressPool objects are. */
  readonly pools: readonly unknown[];
  /** What has no counterpart, or could not be read, one line each. */
  readonly lost: readonly string[];
}

/**
 * Pure. The AddressPools of MetalLB 0.12 to 0.14 and the ConfigMap of 0.12 and before, whose name is anybody's choice: one with a key
 * `config` in which there are `address-pools`.
 * @param addressPools objects of metallb.io/v1beta1
 * @param configMaps all that there are where MetalLB is
 * @see https://metallb.io/configuration/migration_to_crds/
 */
export function readOldMetalLb(addressPools: readonly unknown[], configMaps: readonly unknown[]): OldMetalLb {
  const ofObjects = addressPools.map((raw): OldPool => ({ ...describe(raw), ...readObject(at(raw, 'spec')) }));
  const lost: string[] = [];
  const ofMaps = configMaps.flatMap((raw) => {
    const where = `ConfigMap ${describe(raw).where}`;
    return list(at(parseConfig(at(at(raw, 'data'), 'config'), where, lost), 'address-pools')).map((pool) =>
      readEntry(pool, where),
    );
  });
  const all = [...ofObjects.map((pool) => ({ ...pool, where: `AddressPool ${pool.where}` })), ...ofMaps];
  for (const { where, protocol } of all) if (protocol === 'bgp') lost.push(`${where}: ${NO_BGP}`);
  return {
    pools: all.map(({ name, namespace, spec }) => ({ kind: 'address pool', metadata: { name, namespace }, spec })),
    lost,
  };
}

/** Said of each that is announced so. */
export const NO_BGP = "nodeport-lb speaks no BGP; its addresses must be on the agents' own link";

interface OldPool {
  readonly where: string;
  readonly name: string;
  readonly namespace: string;
  readonly protocol: string;
  readonly spec: object;
}

function describe(raw: unknown): Pick<OldPool, 'where' | 'name' | 'namespace'> {
  const metadata = at(raw, 'metadata');
  const [name, namespace] = [text(at(metadata, 'name')), text(at(metadata, 'namespace'))];
  return { name, namespace, where: `${namespace}/${name}` };
}

function readObject(spec: unknown): Pick<OldPool, 'protocol' | 'spec'> {
  const [addresses, autoAssign, avoidBuggyIPs] = [
    texts(at(spec, 'addresses')),
    at(spec, 'autoAssign'),
    at(spec, 'avoidBuggyIPs'),
  ];
  return { protocol: text(at(spec, 'protocol')), spec: { addresses, autoAssign, avoidBuggyIPs } };
}

/** Of the ConfigMap. */
function readEntry(pool: unknown, where: string): OldPool {
  const name = text(at(pool, 'name'));
  const spec = {
    addresses: texts(at(pool, 'addresses')),
    autoAssign: at(pool, 'auto-assign'),
    avoidBuggyIPs: at(pool, 'avoid-buggy-ips'),
  };
  return { where: `${where}, pool ${name}`, name, namespace: '', protocol: text(at(pool, 'protocol')), spec };
}

function parseConfig(config: unknown, where: string, lost: string[]): unknown {
  if (typeof config !== 'string' || !config.includes('address-pools')) return undefined;
  try {
    return parse(config);
  } catch (thrown) {
    lost.push(`${where}: its config is no YAML: ${explain(thrown).split('\n')[0]}`);
    return undefined;
  }
}
