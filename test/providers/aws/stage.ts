import type { NodeTarget } from '../../../src/model.ts';
import type { Observed } from '../../../src/providers/aws/picture.ts';
import { type AwsParts, createAwsProvider } from '../../../src/providers/aws/provider.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import { type AwsOptions, type SandboxAws, startAws } from '../../../src/sandbox/aws/aws.ts';
import type { SandboxKube } from '../../../src/sandbox/kube/kube.ts';
import { type BalancerWish, balancer, quiet } from '../builders.ts';

/** No account is so quick; tests that are about the buckets give others. */
const bucket = { burst: 10_000, perSecond: 10_000 };
const wide = { describe: bucket, register: bucket, modify: bucket, create: bucket, readEc2: bucket, writeEc2: bucket };

export const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

/** An account in memory. */
export async function makeAws(options: AwsOptions = {}): Promise<SandboxAws> {
  return startAws(options);
}

/** The environment of a process that works at that account. */
export function accountEnv(aws: SandboxAws): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL: aws.url,
    AWS_REGION: aws.region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/** A provider at that account, not opened. */
export function makeProvider(
  aws: SandboxAws,
  parts: Partial<AwsParts> = {},
  options: Record<string, unknown> = {},
  clusterName = 'kubernetes',
  log = quiet,
): Provider<Observed> {
  const connection = { region: aws.region, endpoint: aws.url, credentials, attempts: 3 };
  return createAwsProvider(
    { clusterName, log, options },
    {
      connection,
      buckets: wide,
      now: Date.now,
      tickMs: 10,
      sweepMs: 3_600_000,
      closeLookMs: 3_600_000_000,
      graceSeconds: 0,
      tagWindowMs: 0, // tests that count the calls of many Services keep the real one
      preflight: false, // its calls are counted apart
      ...parts,
    },
  );
}

/** The `number`-th worker of the sandbox's typical account. */
export function worker(number: number): NodeTarget {
  const zone = 'abc'[(number - 1) % 3];
  const id = number.toString(16).padStart(17, '0');
  return {
    name: `n${number}`,
    addresses: [`10.0.0.${number}`],
    providerId: `aws:///eu-west-1${zone}/i-${id}`,
    zone: `eu-west-1${zone}`,
  };
}

export const workers = [worker(1), worker(2), worker(3)];

/** That instance joins the cluster as a node. */
export function addNode(kube: SandboxKube, { name, addresses, providerId }: NodeTarget): void {
  const status = { addresses: [{ type: 'InternalIP', address: addresses[0] }] };
  kube.objects.create({ resource: 'nodes' }, { metadata: { name }, spec: { providerID: providerId }, status });
}

/** A balancer with the sandbox's workers and with annotations on its Service. */
export function nlb(wish: BalancerWish = {}, annotations: Readonly<Record<string, string>> = {}) {
  const made = balancer({ nodes: workers, ...wish });
  return { ...made, members: made.members.map((member) => ({ ...member, annotations })) };
}

const QUIET_MS = 100;

/** Until no call has come for a moment: what a provider that was closed had under way comes in after that, and is counted. */
export async function lastCallCame(aws: SandboxAws): Promise<void> {
  for (let before = -1, total = aws.calls.total(); total !== before; total = aws.calls.total()) {
    before = total;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  }
}
