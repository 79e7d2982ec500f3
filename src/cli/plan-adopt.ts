import type { Config, PoolConfig } from '../config/config.ts';
import { type OptionValues, OUR_CLASS } from '../config/options.ts';
import { optionsForProvider, toConfig } from '../config/read.ts';
import { heldAddresses, heldBy } from '../controller/claim.ts';
import { explain } from '../errors.ts';
import type { KubeApi } from '../kube/api.ts';
import { readNode, readService, type Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { parseIp } from '../providers/local/addresses.ts';
import { poolHolds, readPools } from '../providers/local/pools.ts';
import type { Log } from '../providers/provider.ts';
import { createProvider } from '../providers/registry.ts';
import type { AdoptionDocument } from './plan-adopt-document.ts';
import { judgeService } from './plan-adopt-judge.ts';
import { type RivalReading, readRival } from './plan-adopt-read.ts';
import { type RivalName, rivals } from './plan-adopt-rivals.ts';
import { publishedIps, turnAway } from './plan-adopt-services.ts';
import { type BalancerPlan, markShared } from './plan-document.ts';
import { makePlans } from './plan-make.ts';
import { explainPools } from './plan-moves.ts';
import { layOver } from './plan-overlay.ts';
import { makePicture } from './plan-picture.ts';
import { unveil } from './plan-unveil.ts';
import { listRawNodes, listRawServices } from './read.ts';

export interface Adopting {
  readonly from: RivalName;
  readonly api: KubeApi;
  /** What the call says itself; what it leaves open comes from the other controller. */
  readonly values: OptionValues;
  readonly log: Log;
  readonly isOfInterest?: (service: string) => boolean;
}

/** What would come of another controller's Services if we took them over. Writes nothing. */
export async function planAdoption(adopting: Adopting): Promise<AdoptionDocument> {
  const { from, api, values } = adopting;
  const [services, nodes, reading] = await Promise.all([
    listRawServices(api, values.namespaces ?? []),
    listRawNodes(api),
    readRival(api, from),
  ]);
  const theirs = services.filter((raw) => isTheirs(readService(raw), reading, adopting));
  const read = theirs.flatMap((raw) => readService(raw) ?? []);
  const config = toConfig({ ...describeOptions(from, reading, shareWhereShared(reading.pools, read)), ...values });
  const { balancers, lost } = await rehearse({ ...adopting, config, services, theirs, nodes });
  const judging = { from, balancers, loadBalancerClass: config.loadBalancerClass };
  return {
    version: 1,
    adoptFrom: from,
    config: describeFile(config),
    lost: [...reading.lost, ...describeOutside(services, config), ...lost],
    services: read.map((service) => judgeService(service, judging)).sort((a, b) => (a.service < b.service ? -1 : 1)),
    balancers,
  };
}

function isTheirs(service: Service | undefined, reading: RivalReading, { from, values, isOfInterest }: Adopting): boolean {
  if (service?.type !== 'LoadBalancer' || service.loadBalancerClass === (values.loadBalancerClass ?? OUR_CLASS)) return false;
  const facts = { pools: readPools(reading.pools), daemonSets: reading.daemonSets };
  return rivals[from].owns(service, facts) && (isOfInterest?.(nameOf(service)) ?? true);
}

/** So many of ours are named. */
const NAMED = 5;

/** Services that are ours already keep their addresses only while those are in a pool. */
function describeOutside(services: readonly unknown[], { provider, local }: Config): readonly string[] {
  if (provider !== 'local' || local.pools.length === 0) return [];
  const pools = readPools(local.pools);
  const outside = services
    .flatMap((raw) => readService(raw) ?? [])
    .filter((service) => heldBy(service) === provider)
    .flatMap((service) => heldAddresses(service).map((address) => ({ service, address, ip: parseIp(address) })))
    .filter(({ ip }) => ip !== undefined && !pools.some((pool) => poolHolds(pool, ip)));
  const more = outside.length > NAMED ? ` (and ${outside.length - NAMED} more)` : '';
  return outside.slice(0, NAMED).map(({ service, address }, i) => {
    const rest = i === NAMED - 1 ? more : '';
    return `${nameOf(service)} has ${address} from us already, which is in none of these pools: add its pool${rest}`;
  });
}

/** Services that are at one address need a pool that lets them. */
function shareWhereShared(pools: readonly PoolConfig[], services: readonly Service[]): readonly PoolConfig[] {
  const texts = services.flatMap(publishedIps);
  const shared = texts.filter((text, i) => texts.indexOf(text) !== i).flatMap((text) => parseIp(text) ?? []);
  const holding = readPools(pools).filter((pool) => shared.some((ip) => poolHolds(pool, ip)));
  return pools.map((pool) => (holding.some(({ name }) => name === pool.name) ? { ...pool, sharePorts: true } : pool));
}

/** That controller gives a Service an internal NLB unless it says otherwise. */
function describeOptions(from: RivalName, { flags }: RivalReading, pools: readonly PoolConfig[]): OptionValues {
  return {
    ...flags,
    provider: rivals[from].provider,
    ...(pools.length > 0 ? { localPool: pools } : {}),
    ...(from === 'klipper' ? { localForwarder: 'agents' as const } : {}),
    ...(from === 'aws-load-balancer-controller' ? { awsDefaultScheme: 'internal' as const } : {}),
  };
}

interface Rehearsal extends Adopting {
  readonly config: Config;
  readonly services: readonly unknown[];
  /** Those of them that would be taken over. */
  readonly theirs: readonly unknown[];
  readonly nodes: readonly unknown[];
}

interface Rehearsed {
  readonly balancers: readonly BalancerPlan[];
  readonly lost: readonly string[];
}

/** Plans as if every Service had been turned to us already. Nodes' own addresses are just those that there are. */
async function rehearse(rehearsal: Rehearsal): Promise<Rehearsed> {
  const { from, theirs } = rehearsal;
  const withoutPools = rivals[from].provider === 'local' && rehearsal.config.local.pools.length === 0;
  if (theirs.length === 0 || withoutPools) return { balancers: [], lost: [] };
  try {
    return { balancers: await planTurned(rehearsal), lost: [] };
  } catch (thrown) {
    if (rivals[from].provider === 'local') throw thrown;
    return { balancers: [], lost: [`what would be asked of AWS is not known: ${explain(thrown)}`] };
  }
}

async function planTurned({ from, config, services, theirs, nodes, log }: Rehearsal): Promise<readonly BalancerPlan[]> {
  const rival = rivals[from];
  const embedded = { ...config, local: { ...config.local, forwarder: 'embedded' as const } }; // addresses are given out in the same way
  const provider = await createProvider(config.provider, {
    clusterName: config.clusterName,
    log,
    options: optionsForProvider(embedded),
  });
  const turned = services.map((raw) => {
    const service = theirs.includes(raw) ? readService(raw) : undefined;
    return service ? turnAway(raw, rival, rival.provider === 'local' ? publishedIps(service) : []) : raw;
  });
  const spec = { type: 'LoadBalancer', loadBalancerClass: config.loadBalancerClass };
  const objects = theirs.flatMap((raw) => {
    const service = readService(raw);
    return service ? [{ kind: 'Service' as const, ...service, raw: { spec }, where: nameOf(service) }] : [];
  });
  const overlay = layOver({ services: turned, nodes }, objects, new Date().toISOString());
  const picture = (raw: readonly unknown[]) =>
    makePicture(
      raw.flatMap((one) => readService(one) ?? []),
      nodes.flatMap((one) => readNode(one) ?? []),
      config,
    );
  const after = picture(overlay.services);
  const plans = await makePlans({
    config,
    provider,
    claims: { unset: () => false },
    before: after, // so that what they ask for by name is theirs before anybody else is given an address
    after,
    isOfInterest: (service) => overlay.named.includes(service),
    now: Date.now(),
    whyMoved: config.provider === 'local' ? explainPools(embedded, false) : () => undefined,
  });
  return markShared(plans).map((plan) => unveil(plan, overlay.stand));
}

/** As it goes into a file: only what differs from the defaults. */
function describeFile(config: Config): Readonly<Record<string, unknown>> {
  const { provider, loadBalancerClass, clusterName, local, aws } = config;
  const isAws = provider === 'aws';
  return {
    provider,
    ...(loadBalancerClass === OUR_CLASS ? {} : { loadBalancerClass }),
    ...(clusterName === 'kubernetes' ? {} : { clusterName }),
    ...(local.forwarder === undefined ? {} : { localForwarder: local.forwarder }),
    ...(local.pools.length > 0 ? { localPools: local.pools.map(describePool) } : {}),
    ...(isAws && aws.region !== undefined ? { awsRegion: aws.region } : {}),
    ...(isAws && aws.vpcId !== undefined ? { awsVpcId: aws.vpcId } : {}),
    ...(isAws && aws.defaultScheme !== 'internet-facing' ? { awsDefaultScheme: aws.defaultScheme } : {}),
  };
}

function describePool({ name, addresses, namespaces, serviceSelector, priority, autoAssign, sharePorts }: PoolConfig): object {
  return {
    name,
    addresses: [...addresses],
    ...(namespaces.length > 0 ? { namespaces: [...namespaces] } : {}),
    ...(Object.keys(serviceSelector).length > 0 ? { serviceSelector } : {}),
    ...(priority === 0 ? {} : { priority }),
    ...(autoAssign ? {} : { autoAssign }),
    ...(sharePorts ? { sharePorts } : {}),
  };
}
