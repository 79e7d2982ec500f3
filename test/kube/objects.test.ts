import { describe, expect, test } from '@jest/globals';
import { readNode, readService } from '../../src/kube/objects.ts';

/** Longer than all that is kept of an object together. */
const LONG = 'long '.repeat(1_000);

const metadata = {
  namespace: 'shop',
  name: 'web',
  uid: 'u1',
  annotations: { 'kubectl.kubernetes.io/last-applied-configuration': LONG, 'nodeport-lb.io/node-port-map': '*=127.0.0.1' },
  managedFields: [{ manager: LONG, fieldsV1: { 'f:spec': { [`f:${LONG}`]: {} } } }],
  ownerReferences: [{ name: LONG }],
};

describe('of an object only what is used is kept', () => {
  test('of a Service no managedFields, and not what kubectl apply noted', () => {
    const kept = readService({
      metadata,
      spec: { type: 'LoadBalancer', ports: [{ port: 80, appProtocol: LONG }], unknown: LONG },
    });
    expect(kept?.annotations).toEqual({ 'nodeport-lb.io/node-port-map': '*=127.0.0.1' });
    expect(JSON.stringify(kept).length).toBeLessThan(LONG.length / 4);
  });

  test('of a Node no images, no conditions and no managedFields', () => {
    const status = {
      images: [{ names: [LONG] }],
      conditions: [{ type: 'Ready', status: 'True', message: LONG }],
      nodeInfo: { LONG },
    };
    const kept = readNode({ metadata, spec: { podCIDR: LONG }, status });
    expect(kept).toMatchObject({ name: 'web', ready: true });
    expect(JSON.stringify(kept).length).toBeLessThan(LONG.length / 4);
  });
});
