import { describe, expect, test } from '@jest/globals';
import { claim, FINALIZER } from '../../src/controller/claim.ts';
import { type RawService, service } from '../builders.ts';

const ours = { loadBalancerClass: 'nodeport-lb.io/lb', claimUnset: false };
const greedy = { ...ours, claimUnset: true };
const unset = { loadBalancerClass: undefined };
const marks = {
  conditions: [
    {
      type: 'nodeport-lb.io/Ready',
      status: 'False',
      reason: 'NodePortOnly',
      message: 'x',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ],
};
const writtenBy = (manager: string) => [
  { manager, operation: 'Update', subresource: 'status', fieldsV1: { 'f:status': { 'f:loadBalancer': { 'f:ingress': {} } } } },
];
const published = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };

describe('whose Service it is', () => {
  test.each<{ why: string; parts: RawService; options?: typeof ours; kind: string }>([
    { why: 'our class is ours', parts: {}, kind: 'ours' },
    { why: 'another class is not', parts: { spec: { loadBalancerClass: 'example.com/lb' } }, kind: 'foreign' },
    { why: 'no class is not, while such are not claimed', parts: { spec: unset }, kind: 'foreign' },
    { why: 'no class is, while such are claimed', parts: { spec: unset }, options: greedy, kind: 'ours' },
    { why: 'another type is not', parts: { spec: { ...unset, type: 'NodePort' } }, options: greedy, kind: 'foreign' },
    {
      why: 'ours, being deleted, with our finalizer',
      parts: { metadata: { deletionTimestamp: 'x', finalizers: [FINALIZER] } },
      kind: 'leaving',
    },
    { why: 'being deleted without any mark of ours', parts: { metadata: { deletionTimestamp: 'x' } }, kind: 'foreign' },
    {
      why: 'type changed away with our finalizer',
      parts: { metadata: { finalizers: [FINALIZER] }, spec: { type: 'ClusterIP' } },
      kind: 'leaving',
    },
    {
      why: 'class changed away with our finalizer',
      parts: { metadata: { finalizers: [FINALIZER] }, spec: { loadBalancerClass: 'example.com/lb' } },
      kind: 'leaving',
    },
    { why: 'type changed away with only our condition', parts: { spec: { type: 'ClusterIP' }, status: marks }, kind: 'leaving' },
    {
      why: 'our condition on a Service that another controller serves now',
      parts: {
        metadata: { managedFields: writtenBy('metallb') },
        spec: { loadBalancerClass: 'example.com/lb' },
        status: { ...marks, ...published },
      },
      kind: 'foreign',
    },
    {
      why: "another controller's finalizer",
      parts: { metadata: { finalizers: ['service.kubernetes.io/load-balancer-cleanup'] } },
      kind: 'foreign',
    },
    {
      why: 'a status that another manager wrote',
      parts: { metadata: { managedFields: writtenBy('metallb') }, status: published },
      kind: 'foreign',
    },
    {
      why: 'a status that we wrote',
      parts: { metadata: { managedFields: writtenBy('nodeport-lb') }, status: published },
      kind: 'ours',
    },
    {
      why: 'a status that somebody edited while we hold it',
      parts: { metadata: { finalizers: [FINALIZER], managedFields: writtenBy('kubectl-edit') }, status: published },
      kind: 'ours',
    },
    {
      why: 'aws-load-balancer-type names another controller',
      parts: { metadata: { annotations: { 'service.beta.kubernetes.io/aws-load-balancer-type': 'external' } }, spec: unset },
      options: greedy,
      kind: 'foreign',
    },
    {
      why: 'still ours though claiming of unset classes has ended',
      parts: { metadata: { finalizers: [FINALIZER] }, spec: unset },
      kind: 'ours',
    },
  ])('$why: $kind', ({ parts, options, kind }) => {
    expect(claim(service(parts), options ?? ours).kind).toBe(kind);
  });
});
