import { expect, test } from '@jest/globals';
import { readProtobuf } from '../../../src/sandbox/kube/protobuf.ts';

/** The few wire forms that the messages need. */
function field(number: number, value: Buffer | string | number): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) out.push((rest & 0x7f) | 0x80);
  return Buffer.from([...out, rest]);
}

const message = (...fields: Buffer[]): Buffer => Buffer.concat(fields);

function body(kind: string, apiVersion: string, raw: Buffer): Buffer {
  const type = message(field(1, apiVersion), field(2, kind));
  return Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, raw)]);
}

test('a Service as a typed client sends it', () => {
  const metadata = message(field(1, 'web'), field(11, message(field(1, 'app'), field(2, 'x'))));
  const numeric = message(field(1, 'a'), field(3, 80), field(4, message(field(1, 0), field(2, 8080))));
  const named = message(field(1, 'b'), field(3, 443), field(4, message(field(1, 1), field(3, 'tls'))));
  const spec = message(
    field(1, numeric),
    field(1, named),
    field(2, message(field(1, 'app'), field(2, 'x'))),
    field(4, 'LoadBalancer'),
    field(20, 0),
  );
  expect(readProtobuf(body('Service', 'v1', message(field(1, metadata), field(2, spec))))).toEqual({
    kind: 'Service',
    apiVersion: 'v1',
    metadata: { name: 'web', labels: { app: 'x' } },
    spec: {
      ports: [
        { name: 'a', port: 80, targetPort: 8080 },
        { name: 'b', port: 443, targetPort: 'tls' },
      ],
      selector: { app: 'x' },
      type: 'LoadBalancer',
      allocateLoadBalancerNodePorts: false,
    },
  });
});

test('times, and fields that are unknown', () => {
  const time = message(field(1, 1_704_067_200), field(2, 123_456_000));
  const spec = message(field(1, 'me'), field(4, time), field(99, 'later version'));
  const read = readProtobuf(body('Lease', 'coordination.k8s.io/v1', message(field(2, spec))));
  expect(read).toEqual({
    kind: 'Lease',
    apiVersion: 'coordination.k8s.io/v1',
    spec: { holderIdentity: 'me', renewTime: '2024-01-01T00:00:00.123456Z' },
  });
});

test.each<{ why: string; bytes: Buffer }>([
  { why: 'no magic', bytes: Buffer.from('{"kind":"Service"}') },
  { why: 'a kind that is unknown', bytes: body('Gadget', 'v1', Buffer.alloc(0)) },
  { why: 'an end in the middle', bytes: body('Service', 'v1', Buffer.from([0x0a, 0x7f, 0x01])) },
  { why: 'a number where a message belongs', bytes: body('Service', 'v1', field(1, 7)) },
  { why: 'a number without an end', bytes: body('Service', 'v1', Buffer.alloc(12, 0xff)) },
])('$why is a bad request', ({ bytes }) => {
  expect(() => readProtobuf(bytes)).toThrow(expect.objectContaining({ code: 400, reason: 'BadRequest' }));
});
