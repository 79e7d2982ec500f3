import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { ApiFamily } from '../../src/config/throttle.ts';
import type { Balancer, NodeTarget } from '../../src/model.ts';
import { usualBuckets } from '../../src/providers/aws/limiter.ts';
import { createAwsProvider } from '../../src/providers/aws/provider.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { type SandboxAws, startAws } from '../../src/sandbox/aws/aws.ts';
import { typicalAccount, typicalInstance } from '../../src/sandbox/aws/seed.ts';
import { balancer, nothingReserved, quiet } from '../providers/builders.ts';

/**
 * `node test/bench/aws.ts [--services N] [--nodes N] [--json FILE]`: AWS calls of each phase, counted at the wire of the in-memory
 * AWS, without polls and without waiting for buckets.
 */
const options = { services: { type: 'string' }, nodes: { type: 'string' }, json: { type: 'string' } } as const;
const { values } = parseArgs({ options });
const services = Number(values.services ?? 100);
const nodes = Number(values.nodes ?? 50);
/** As many as the controller has. */
const WORKERS = 16;
const NEVER_MS = 1e9;

interface Phase {
  readonly phase: string;
  readonly calls: number;
  readonly callsPerService: number;
  readonly reads: number;
  readonly seconds: number;
}

function makeProvider(aws: SandboxAws): Provider {
  const wide = { burst: 1e6, perSecond: 1e6 };
  const names = Object.keys(usualBuckets) as ApiFamily[];
  const buckets = Object.fromEntries(names.map((name) => [name, wide])) as Record<ApiFamily, typeof wide>;
  const connection = { region: aws.region, endpoint: aws.url, credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' } };
  const never = { tickMs: NEVER_MS, sweepMs: NEVER_MS, closeLookMs: NEVER_MS };
  return createAwsProvider(
    { clusterName: 'kubernetes', log: quiet, options: {} },
    { connection, buckets, now: Date.now, preflight: false, ...never },
  );
}

function makeNodes(count: number): readonly NodeTarget[] {
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  return numbers.map((n) => ({
    name: `n${n}`,
    addresses: [`10.0.0.${n % 255}`],
    providerId: `aws:///eu-west-1a/${typicalInstance(n).id}`,
  }));
}

function wishes(list: readonly NodeTarget[]): readonly Balancer[] {
  const numbers = Array.from({ length: services }, (_, at) => at);
  return numbers.map((n) => balancer({ name: `web-${n}`, ports: [{ port: 80, nodePort: 30_000 + (n % 2_768) }], nodes: list }));
}

/** One pass over all keys, as the controller's workers make it. */
async function passAll(provider: Provider, wanted: readonly Balancer[] | undefined, keys: readonly string[]): Promise<void> {
  let at = 0;
  const work = async (): Promise<void> => {
    while (at < keys.length) {
      const index = at++;
      const goal = wanted && provider.adjust(wanted[index]!, nothingReserved);
      for (const step of provider.plan(goal, await provider.observe(keys[index]!), Date.now())) {
        if (step.waitsFor) break;
        await provider.apply(step);
      }
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
}

const aws = await startAws({
  seed: typicalAccount({ instances: nodes }),
  limits: { loadBalancers: 10_000, interfacesPerVpc: 100_000 },
});
const phases: Phase[] = [];
async function measure(phase: string, run: () => Promise<void>): Promise<void> {
  aws.calls.reset();
  const began = performance.now();
  await run();
  const calls = aws.calls.total();
  const reads = Object.entries(aws.calls.counts()).reduce(
    (sum, [action, count]) => sum + (action.startsWith('Describe') ? count : 0),
    0,
  );
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  phases.push({ phase, calls, callsPerService: Math.round((calls / services) * 100) / 100, reads, seconds });
}

const first = wishes(makeNodes(nodes));
const keys = first.map(({ key }) => key);
const begin = { surroundings: nothingReserved, changed: () => {} };
let provider = makeProvider(aws);
await provider.open({ ...begin, balancers: [] });
await measure('create', () => passAll(provider, first, keys));
await measure('nothing changes', () => passAll(provider, first, keys));
aws.addInstance(typicalInstance(nodes + 1));
const second = wishes(makeNodes(nodes + 1));
await measure('a node joins', () => passAll(provider, second, keys));
await provider.close(0);
provider = makeProvider(aws);
await measure('restart in sync', async () => {
  await provider.open({ ...begin, balancers: second });
  await passAll(provider, second, keys);
});
await measure('delete', async () => {
  await passAll(provider, undefined, keys);
  await passAll(provider, undefined, await provider.keys()); // what all of them shared
});
await provider.close(0);
const leftovers = Object.values(aws.leftovers()).flat().length;
await aws.close();

console.log(`AWS calls, ${services} Services x ${nodes} nodes\n`);
console.log('phase              calls  a Service   reads  seconds');
for (const { phase, calls, callsPerService, reads, seconds } of phases) {
  console.log(
    `${phase.padEnd(16)}${String(calls).padStart(8)}${callsPerService.toFixed(2).padStart(11)}${String(reads).padStart(8)}${seconds.toFixed(1).padStart(9)}`,
  );
}
console.log(`left over: ${leftovers}`);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ version: 1, services, nodes, phases, leftovers }, null, 2)}\n`);
