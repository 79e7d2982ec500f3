import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved, type PortWish } from '../builders.ts';
import { want } from '../drive.ts';
import { asking } from './changes.ts';
import { makeAws, makeProvider, worker } from './stage.ts';

/** With cross-zone balancing an NLB takes 500 registrations: two ports are full with these. */
const nodes = Array.from({ length: 250 }, (_, at) => worker(at + 1));
const crossed = { attributes: 'load_balancing.cross_zone.enabled=true' };
const http = { port: 80 };
const tls = { port: 443, nodePort: 30_443 };
const quic = { ...tls, protocol: 'UDP' as const };

let aws: SandboxAws;
let provider: Provider;
beforeEach(async () => {
  aws = await makeAws({ seed: typicalAccount({ instances: nodes.length }) });
  provider = makeProvider(aws);
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

const full = (name: string, ...ports: readonly PortWish[]) => asking(crossed, { name, nodes, ports });

/** Targets of the port of this NLB. */
function count(port: number): number {
  const forward = aws.listeners().find((one) => one.port === port)?.forward[0]?.arn ?? '';
  return aws.targetsOf(forward).filter(({ port: nodePort }) => nodePort === 30_000 + port).length;
}

/** Which target group comes first where several could give way is chance that the name decides. */
test.each(['web', 'mail'])(
  'on a full NLB another target group takes over from its own port’s: %s loses nothing of the other port',
  async (name) => {
    await want(provider, full(name, http, tls));
    expect([count(80), count(443)]).toEqual([250, 250]);
    let fewest = Number.POSITIVE_INFINITY;
    await want(provider, full(name, http, tls, quic), async (step) => {
      await provider.apply(step);
      fewest = Math.min(fewest, count(80));
    });
    expect(fewest).toBe(250);
    expect(count(443)).toBe(250);
  },
);

test('a port more on a full NLB gets as many targets as the others keep', async () => {
  await want(provider, full('web', http, tls));
  await want(provider, full('web', http, tls, { port: 8080, nodePort: 38_080 }));
  expect([count(80), count(443), count(8080)]).toEqual([166, 166, 166]);
});
