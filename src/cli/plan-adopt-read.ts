import type { PoolConfig } from '../config/config.ts';
import { flagOf } from '../config/option-names.ts';
import { type OptionValues, options } from '../config/options.ts';
import { type CallName, type KubeApi, KubeError } from '../kube/api.ts';
import { at, list, stringMap, text } from '../kube/objects.ts';
import { listAll } from '../kube/pages.ts';
import { type OldMetalLb, readOldMetalLb } from './plan-adopt-old-metallb.ts';
import { type Translation, translateKubeVip, translateMetalLb } from './plan-adopt-pools.ts';
import { type RivalName, readArgument, serviceOf } from './plan-adopt-rivals.ts';

/** What the cluster has of another controller's configuration. */
export interface RivalReading {
  readonly pools: readonly PoolConfig[];
  readonly daemonSets: readonly unknown[];
  /** What has no counterpart, or could not be read, one line each. */
  readonly lost: readonly string[];
  /** Of an AWS controller's flags, as options of ours. */
  readonly flags: Pick<OptionValues, 'clusterName' | 'awsRegion' | 'awsVpcId'>;
}

const NOTHING: RivalReading = { pools: [], daemonSets: [], lost: [], flags: {} };

/** Objects a page. */
const PAGE_SIZE = 250;

/** @throws {KubeError} when what is there may not be read */
export async function readRival(api: KubeApi, from: RivalName): Promise<RivalReading> {
  switch (from) {
    case 'metallb':
      return readMetalLb(api);
    case 'kube-vip':
      return readKubeVip(api);
    case 'klipper':
      return readKlipper(api);
    case 'aws-load-balancer-controller':
      return readDeployment(api, /(^|\/)aws-load-balancer-controller([:@]|$)/);
    case 'cloud-provider-aws':
      return readDeployment(api, /(^|\/)cloud-controller-manager([:@]|$)|aws-cloud-controller-manager/);
  }
}

async function readMetalLb(api: KubeApi): Promise<RivalReading> {
  const [pools, l2, bgp] = await Promise.all([
    listIfThere(api, 'listIpAddressPools'),
    listIfThere(api, 'listL2Advertisements'),
    listIfThere(api, 'listBgpAdvertisements'),
  ]);
  const old = pools.length === 0 ? await readOlder(api) : undefined;
  const translation = translateMetalLb({ pools: old?.pools ?? pools, l2, bgp });
  return { ...NOTHING, ...translation, lost: [...(old?.lost ?? []), ...translation.lost] };
}

/** Where its manifests put it. */
const METALLB_NAMESPACE = 'metallb-system';

async function readOlder(api: KubeApi): Promise<OldMetalLb> {
  const [addressPools, configMaps] = await Promise.all([
    listIfThere(api, 'listAddressPools'),
    listAll(api, 'listConfigMaps', METALLB_NAMESPACE, { limit: PAGE_SIZE }),
  ]);
  const old = readOldMetalLb(addressPools, configMaps);
  if (old.pools.length > 0 || old.lost.length > 0) return old;
  const where = `neither IPAddressPool nor AddressPool (metallb.io/v1beta1), nor a ConfigMap in ${METALLB_NAMESPACE} with address-pools`;
  return { pools: [], lost: [`there is ${where}; name the pools with --local-pool`] };
}

const KUBE_VIP = { namespace: 'kube-system', name: 'kubevip' } as const;

async function readKubeVip(api: KubeApi): Promise<RivalReading> {
  const where = `ConfigMap ${KUBE_VIP.namespace}/${KUBE_VIP.name}`;
  const raw = await ifThere(api.get('getConfigMap', KUBE_VIP.namespace, KUBE_VIP.name));
  if (raw === undefined) return { ...NOTHING, lost: [`there is no ${where}; name the pools with --local-pool`] };
  const translation: Translation = translateKubeVip(raw);
  return { ...NOTHING, ...translation, lost: translation.lost.map((one) => `${where}: ${one}`) };
}

async function readKlipper(api: KubeApi): Promise<RivalReading> {
  const sets = (await listAll(api, 'listDaemonSets', '', { limit: PAGE_SIZE })).filter((set) => serviceOf(set) !== '/');
  const nodeSelectors = sets.map((set) => stringMap(at(at(at(at(set, 'spec'), 'template'), 'spec'), 'nodeSelector')));
  const chosen = nodeSelectors.find((selector) => Object.keys(selector).length > 0);
  const labels = Object.entries(chosen ?? {}).map(([key, value]) => `${key}=${value}`);
  const lost = chosen
    ? [`nodes are chosen by ${labels.join(', ')}; that is the chart's forwarder.nodeSelector, for all Services`]
    : [];
  return { ...NOTHING, daemonSets: sets, lost };
}

/** Its flags may stand in what starts it. */
async function readDeployment(api: KubeApi, image: RegExp): Promise<RivalReading> {
  const [deployments, daemonSets] = await Promise.all([
    listAll(api, 'listDeployments', '', { limit: PAGE_SIZE }),
    listAll(api, 'listDaemonSets', '', { limit: PAGE_SIZE }),
  ]);
  const found = [...deployments, ...daemonSets].find((one) => imagesOf(one).some((name) => image.test(name)));
  if (!found) return { ...NOTHING, lost: ['its Deployment was not found; give --cluster-name, --aws-region and --aws-vpc-id'] };
  const lost: string[] = [];
  const take = (name: FlagName) => takeFlag(name, readArgument(found, flagOf(name)), lost);
  return { ...NOTHING, flags: { ...take('clusterName'), ...take('awsRegion'), ...take('awsVpcId') }, lost };
}

type FlagName = 'clusterName' | 'awsRegion' | 'awsVpcId';

/** Its flags have the names of ours; a value that comes from elsewhere, such as `$(VPC)`, cannot be seen. */
function takeFlag(name: FlagName, value: string | undefined, lost: string[]): RivalReading['flags'] {
  if (value === undefined) return {};
  const { kind } = options[name];
  const read = kind.read(value, () => lost.push(`${flagOf(name)} ${JSON.stringify(value)} must be ${kind.allowed}`));
  return read === undefined ? {} : { [name]: read };
}

function imagesOf(workload: unknown): readonly string[] {
  return list(at(at(at(at(workload, 'spec'), 'template'), 'spec'), 'containers')).map((one) => text(at(one, 'image')));
}

/** @returns nothing for a kind that the cluster does not have */
async function listIfThere(api: KubeApi, call: CallName): Promise<readonly unknown[]> {
  return (await ifThere(listAll(api, call, '', { limit: PAGE_SIZE }))) ?? [];
}

async function ifThere<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (thrown) {
    if (thrown instanceof KubeError && thrown.status === 404) return undefined;
    throw thrown;
  }
}
