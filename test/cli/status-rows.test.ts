import { expect, test } from '@jest/globals';
import { describeStatus } from '../../src/cli/status-rows.ts';
import { service } from '../builders.ts';

const around = { count: () => 3, loadBalancerClass: 'nodeport-lb.io/lb' };
const said = (reason: string) => [
  { type: 'nodeport-lb.io/Ready', status: 'False', reason, message: 'm', lastTransitionTime: '2026-01-01T00:00:00Z' },
];

test.each([
  { why: 'refused as it is written now, it serves on', ingress: [{ ip: '192.0.2.1' }], reason: 'AnnotationInvalid', healthy: 3 },
  { why: 'refused from the start, it serves nobody', ingress: [], reason: 'PoolExhausted', healthy: 0 },
  { why: 'no target is healthy', ingress: [{ ip: '192.0.2.1' }], reason: 'NoHealthyTargets', healthy: 0 },
])('targets: $why', ({ ingress, reason, healthy }) => {
  const held = service({
    metadata: { finalizers: ['nodeport-lb.io/cleanup'] },
    status: { loadBalancer: { ingress }, conditions: said(reason) },
  });
  expect(describeStatus(held, around).targets).toEqual({ healthy, total: 3 });
});
