import { describe, expect, test } from '@jest/globals';
import { type EndpointSlice, nodesServing, readEndpointSlice } from '../../src/kube/endpoint-slices.ts';

const http = { name: 'http', protocol: 'TCP' };

interface SliceWish {
  readonly name?: string;
  readonly endpoints?: readonly unknown[];
  readonly ports?: readonly unknown[];
  readonly addressType?: string;
}

function slice({ name = 'web-1', endpoints = [], ports = [http], addressType = 'IPv4' }: SliceWish = {}): EndpointSlice {
  const labels = { 'kubernetes.io/service-name': 'web' };
  return readEndpointSlice({
    metadata: { namespace: 'shop', name, uid: `uid-${name}`, resourceVersion: '7', labels },
    addressType,
    endpoints,
    ports,
  })!;
}

const at = (nodeName: string | undefined, conditions?: unknown) => ({ addresses: ['10.1.0.1'], nodeName, conditions });

describe('where a Service is served', () => {
  test.each<{ why: string; conditions: unknown; serves: boolean }>([
    { why: 'ready', conditions: { ready: true, serving: true, terminating: false }, serves: true },
    { why: 'of which nothing is said', conditions: undefined, serves: true },
    { why: 'of which readiness is not said', conditions: { ready: null }, serves: true },
    { why: 'not ready', conditions: { ready: false, serving: false, terminating: false }, serves: false },
    { why: 'not ready, of which no more is said', conditions: { ready: false }, serves: false },
    { why: 'terminating that still serves', conditions: { ready: false, serving: true, terminating: true }, serves: true },
    { why: 'terminating that serves no more', conditions: { ready: false, serving: false, terminating: true }, serves: false },
    { why: 'terminating of which no more is said', conditions: { ready: false, terminating: true }, serves: false },
  ])('an endpoint $why: $serves', ({ conditions, serves }) => {
    expect(nodesServing([slice({ endpoints: [at('n1', conditions)] })], http)).toEqual(serves ? ['n1'] : []);
  });

  test('all slices count, of both families, each node once and in order', () => {
    const slices = [
      slice({ endpoints: [at('n3'), at('n1'), at('n1')] }),
      slice({ name: 'web-2', endpoints: [at('n2')] }),
      slice({ name: 'web-6', addressType: 'IPv6', endpoints: [at('n1'), at('n4')] }),
    ];
    expect(nodesServing(slices, http)).toEqual(['n1', 'n2', 'n3', 'n4']);
  });

  test('only at nodes that have the very port: by its name and protocol', () => {
    const slices = [
      slice({ endpoints: [at('n1')], ports: [{ name: 'http', protocol: 'UDP' }] }),
      slice({ name: 'web-2', endpoints: [at('n2')], ports: [{ name: '', port: 80 }, http] }),
    ];
    expect(nodesServing(slices, http)).toEqual(['n2']);
    expect(nodesServing(slices, { name: '', protocol: 'TCP' })).toEqual(['n2']);
    expect(nodesServing(slices, { name: 'other', protocol: 'TCP' })).toEqual([]);
  });

  test('an endpoint without a node is local to none; a name is no address', () => {
    expect(nodesServing([slice({ endpoints: [at(undefined), at(''), { nodeName: 7 }] })], http)).toEqual([]);
    expect(nodesServing([slice({ addressType: 'FQDN', endpoints: [at('n1')] })], http)).toEqual([]);
  });

  test('nowhere and not known are two things', () => {
    expect(nodesServing([slice()], http)).toEqual([]);
    expect(nodesServing([], http)).toBeUndefined();
  });
});

describe('a slice that is read', () => {
  test('keeps nothing but what is asked for', () => {
    const read = slice({ endpoints: [at('n1')] });
    expect(read).toMatchObject({ namespace: 'shop', service: 'web', ports: ['http/TCP'], nodes: ['n1'], resourceVersion: '7' });
    expect([read.labels, read.annotations, read.finalizers]).toEqual([{}, {}, []]);
  });

  test.each<{ why: string; raw: unknown }>([
    { why: 'of no Service', raw: { metadata: { namespace: 'shop', name: 'x', uid: 'u' } } },
    { why: 'without a namespace', raw: { metadata: { name: 'x', uid: 'u', labels: { 'kubernetes.io/service-name': 'web' } } } },
    { why: 'that is none', raw: 'garbage' },
  ])('$why is passed over', ({ raw }) => expect(readEndpointSlice(raw)).toBeUndefined());

  test('of garbage says that nobody serves', () => {
    const metadata = { namespace: 'shop', name: 'x', uid: 'u', labels: { 'kubernetes.io/service-name': 'web' } };
    expect(readEndpointSlice({ metadata, endpoints: 'all', ports: 7 })).toMatchObject({ ports: [], nodes: [] });
  });
});
