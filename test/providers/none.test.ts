import { expect, test } from '@jest/globals';
import { createProvider, describeWaysIn } from '../../src/providers/none.ts';
import { balancer, node, nothingReserved, quiet, refusalOf } from './builders.ts';

const n1 = node('n1', '10.0.0.1', '203.0.113.1');

test.each([
  {
    why: 'each address of each node',
    wish: { ports: [{ port: 80, nodePort: 30123 }], nodes: [n1, node('n2', 'fd00::2')] },
    says: '10.0.0.1:30123, 203.0.113.1:30123, [fd00::2]:30123',
  },
  {
    why: 'a port that is published elsewhere',
    wish: { ports: [{ port: 80, nodePort: 30123 }], nodes: [{ ...n1, portMap: { 30123: '127.0.0.1:8123' } }] },
    says: '127.0.0.1:8123',
  },
  {
    why: 'another protocol is named',
    wish: { ports: [{ port: 53, nodePort: 30053, protocol: 'UDP' as const }], nodes: [node('n1', '10.0.0.1')] },
    says: '10.0.0.1:30053/UDP',
  },
  { why: 'no node', wish: { nodes: [] }, says: 'no node: there is none that could be a target' },
])('ways in: $why', ({ wish, says }) => {
  expect(describeWaysIn(balancer(wish))).toBe(says);
});

test('of many the first few are named and the rest counted', () => {
  const nodes = Array.from({ length: 100 }, (_, i) => node(`n${i}`, `10.0.0.${i}`, `10.1.0.${i}`));
  expect(describeWaysIn(balancer({ ports: [{ port: 80, nodePort: 30123 }], nodes }))).toBe(
    '10.0.0.0:30123, 10.1.0.0:30123, 10.0.0.1:30123, 10.1.0.1:30123, 10.0.0.2:30123, 10.1.0.2:30123 and 194 more',
  );
});

test('every balancer is refused with the ways in and what to do', () => {
  const provider = createProvider({ clusterName: 'c', log: quiet, options: {} });
  const refusal = refusalOf(() =>
    provider.adjust(balancer({ ports: [{ port: 80, nodePort: 30123 }], nodes: [n1] }), nothingReserved),
  );
  expect(refusal).toEqual({
    code: 'NodePortOnly',
    message: expect.stringMatching(/answers at 10\.0\.0\.1:30123, .*--provider local/),
  });
});
