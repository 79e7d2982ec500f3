import { parseArgs } from 'node:util';
import { startAws } from '../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../src/sandbox/aws/seed.ts';

/**
 * `node localstack/strict.ts [--port N] [--instances N]`: the strict sandbox of AWS as a process of its own. Prints its URL, and runs
 * until it is ended. Its account is a typical one (`typicalAccount`) with
 * a second subnet in the first zone and room for a thousand load balancers; what takes minutes at
 * AWS takes a second or two.
 */
const { values } = parseArgs({
  options: { port: { type: 'string', default: '0' }, instances: { type: 'string', default: '3' } },
});
const seed = typicalAccount({ instances: Number(values.instances) });
const second = { ...seed.subnets[0]!, id: 'subnet-second-a', cidr: '10.0.240.0/24', tags: {} };
const aws = await startAws({
  port: Number(values.port),
  seed: { ...seed, subnets: [...seed.subnets, second] },
  limits: { loadBalancers: 1_000, interfacesPerVpc: 5_000 },
  timings: { activeMs: 1_500, healthyMs: 1_000, drainingMs: 1_000, consistencyMs: 300 },
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void aws.close());
console.log(aws.url);
