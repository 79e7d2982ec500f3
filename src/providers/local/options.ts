import { z } from 'zod';
import type { LocalConfig, PoolConfig } from '../../config/config.ts';
import { type Problem, UsageError } from '../../errors.ts';

/** What the local provider works with, once everything in it is known to be usable. */
export interface LocalOptions {
  readonly pools: readonly PoolConfig[];
  /** Serve a port that may not be bound on a free high port. */
  readonly portFallback: boolean;
}

/** Where every Linux machine can listen without preparation, and far from 127.0.0.1 and from what sandboxes use. */
const DEFAULT_POOL = '127.0.0.32/27';

const poolSchema = z.object({
  name: z.string().min(1),
  addresses: z.array(z.string()),
  namespaces: z.array(z.string()).default([]),
  serviceSelector: z.record(z.string(), z.string()).default({}),
  priority: z.number().default(0),
  autoAssign: z.boolean().default(true),
  sharePorts: z.boolean().default(false),
});

const schema = z.object({
  pools: z.array(poolSchema).default([]),
  portFallback: z.boolean().default(false),
  datapath: z.enum(['auto', 'userspace', 'nftables', 'kube-proxy']).default('auto'),
  forwarder: z.enum(['embedded', 'agents']).optional(),
});

/**
 * Reads the provider's options (`Config.local`).
 * @param inCluster whether the controller runs in a pod of the cluster
 * @throws {UsageError} with everything in them that this version cannot do
 */
export function readOptions(raw: Readonly<Record<string, unknown>>, inCluster: boolean): LocalOptions {
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    throw new UsageError(
      parsed.error.issues.map((issue) => ({ where: `local.${issue.path.join('.')}`, message: issue.message })),
    );
  }
  const { pools, portFallback } = parsed.data;
  const problems = [...refuseDatapath(parsed.data.datapath), ...refuseForwarder(parsed.data.forwarder, inCluster)];
  if (problems.length === 0 && pools.length === 0 && inCluster) {
    problems.push({
      where: '--local-pool',
      message: `In a cluster there is no pool by default: ${DEFAULT_POOL} would only be reached from inside this pod. Name addresses of the machine that the pod runs on.`,
    });
  }
  if (problems.length > 0) throw new UsageError(problems);
  return { pools: pools.length > 0 ? pools : [defaultPool()], portFallback };
}

function defaultPool(): PoolConfig {
  return {
    name: 'default',
    addresses: [DEFAULT_POOL],
    namespaces: [],
    serviceSelector: {},
    priority: 0,
    autoAssign: true,
    sharePorts: false,
  };
}

function refuseDatapath(datapath: LocalConfig['datapath']): Problem[] {
  if (datapath === 'auto' || datapath === 'userspace') return [];
  return [
    { where: '--local-datapath', value: datapath, message: 'This version forwards in userspace only. Use auto or userspace.' },
  ];
}

function refuseForwarder(forwarder: LocalConfig['forwarder'], inCluster: boolean): Problem[] {
  if (forwarder === 'embedded' || (forwarder === undefined && !inCluster)) return [];
  const where = '--local-forwarder';
  const cure = 'Use embedded, with --local-pool naming addresses of the machine on which the controller runs.';
  if (forwarder === 'agents') return [{ where, value: forwarder, message: `This version has no forwarder agents yet. ${cure}` }];
  return [{ where, message: `In a cluster the default is agents, which this version does not have yet. ${cure}` }];
}
