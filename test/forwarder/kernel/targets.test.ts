import { expect, test } from '@jest/globals';
import type { Attempt } from '../../../src/forwarder/dial.ts';
import type { Ground } from '../../../src/forwarder/ground.ts';
import { Aims } from '../../../src/forwarder/kernel/aims.ts';
import { Crowd } from '../../../src/forwarder/kernel/crowd.ts';
import type { Kernel } from '../../../src/forwarder/kernel/kernel.ts';
import { KernelListener } from '../../../src/forwarder/kernel/listener.ts';
import { Nodes } from '../../../src/forwarder/targets.ts';
import { listener } from '../builders.ts';

const [HERE, THERE, YONDER] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const NODE_PORT = 30_080;

/** Where the kernel sends on the machine HERE, by what is known of the nodes. */
function aimsFor(healthy: readonly string[], others: readonly string[]): readonly string[] {
  const nodes = new Nodes();
  for (const address of [HERE, THERE, YONDER]) nodes.put(address, { id: address, addresses: [address] });
  const attempt = (address: string): Attempt => ({ node: nodes.get(address)!, endpoint: { address, port: NODE_PORT } });
  const prospects = { healthy: healthy.map(attempt), others: others.map(attempt) };
  const health = { watch: () => ({}), prospects: () => prospects, plainness: () => 'own' };
  const aims = new Aims();
  const rule = listener({ address: '192.0.2.1', port: 80, nodePort: NODE_PORT });
  const one = new KernelListener(
    rule,
    { health, nodes } as unknown as Ground,
    { aims, crowd: new Crowd(), isLoaded: true } as unknown as Kernel,
    () => {},
  );
  one.describe(new Set([HERE]));
  return [...aims.takeNews().values()].flatMap(({ addresses }) => addresses);
}

test.each([
  { what: 'the healthy ones', healthy: [THERE], others: [YONDER], aims: [THERE] },
  { what: 'of the healthy ones not this machine’s own', healthy: [HERE, THERE], others: [YONDER], aims: [THERE] },
  {
    what: 'others, when only this machine’s own is healthy so far',
    healthy: [HERE],
    others: [THERE, YONDER],
    aims: [THERE, YONDER],
  },
  { what: 'others, when none is healthy', healthy: [], others: [HERE, THERE], aims: [THERE] },
  { what: 'nowhere, when there is but this machine', healthy: [HERE], others: [], aims: [] },
])('the kernel sends to $what', ({ healthy, others, aims }) => {
  expect(aimsFor(healthy, others)).toEqual(aims);
});
