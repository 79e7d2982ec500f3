import { badRequest } from './failure.ts';
import type { Json, JsonMap } from './json.ts';
import { type Field, type Scalar, structOf, type Type } from './schema.ts';

/**
 * Reads the protobuf bodies that typed clients such as `kubectl create deployment` send; answers are JSON, which they take too.
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
 */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from([0x6b, 0x38, 0x73, 0x00]);
/** Deeper than any shape of the API. */
const DEPTH_LIMIT = 40;

/** @returns the object as JSON, with kind and apiVersion @throws {ApiFailure} 400 for anything malformed or unknown */
export function readProtobuf(body: Buffer): JsonMap {
  if (!body.subarray(0, 4).equals(MAGIC)) throw badRequest('the body is not protobuf as Kubernetes encodes it');
  const envelope = readFields(body.subarray(4));
  const type = readFields(bytesOf(envelope, 1));
  const apiVersion = bytesOf(type, 1).toString();
  const kind = bytesOf(type, 2).toString();
  return { kind, apiVersion, ...readMessage(shapeOf(kind, apiVersion), bytesOf(envelope, 2), 0) };
}

function shapeOf(kind: string, apiVersion: string): string {
  const name = kind === 'Event' && apiVersion.startsWith('events.k8s.io') ? 'EventsEvent' : kind;
  try {
    return structOf(name).name;
  } catch (error) {
    throw badRequest(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}: ${(error as Error).message}`,
    );
  }
}

/** One field as it stands on the wire. */
interface Wire {
  readonly number: number;
  readonly value: bigint | Buffer;
}

function readFields(buffer: Buffer): Wire[] {
  const out: Wire[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = buffer[at++];
      if (byte === undefined) throw badRequest('unexpected end of a protobuf body');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw badRequest('a number in a protobuf body is too long');
  };
  const take = (length: number): Buffer => {
    if (at + length > buffer.length) throw badRequest('unexpected end of a protobuf body');
    at += length;
    return buffer.subarray(at - length, at);
  };
  while (at < buffer.length) {
    const tag = Number(varint());
    const kind = tag & 7;
    const value = kind === 0 ? varint() : kind === 2 ? take(Number(varint())) : kind === 1 ? take(8) : take(4);
    out.push({ number: tag >>> 3, value });
  }
  return out;
}

function bytesOf(fields: readonly Wire[], number: number): Buffer {
  const found = fields.findLast((field) => field.number === number)?.value;
  return Buffer.isBuffer(found) ? found : Buffer.alloc(0);
}

function numberOf(fields: readonly Wire[], number: number): number {
  const found = fields.findLast((field) => field.number === number)?.value;
  return typeof found === 'bigint' ? Number(found) : 0;
}

function readMessage(shape: string, buffer: Buffer, depth: number): JsonMap {
  if (depth > DEPTH_LIMIT) throw badRequest('a protobuf body is nested too deeply');
  const byNumber = new Map([...structOf(shape).fields.values()].map((field) => [field.number, field]));
  const out: JsonMap = {};
  for (const { number, value } of readFields(buffer)) {
    const field = byNumber.get(number);
    if (field && number > 0) put(out, field, value, depth);
  }
  return out;
}

function put(out: JsonMap, { name, type }: Field, value: Wire['value'], depth: number): void {
  if (type.is === 'list') {
    const items = Array.isArray(out[name]) ? out[name] : [];
    out[name] = [...items, readValue(type.of, value, depth)];
  } else if (type.is === 'map') {
    const entry = readFields(asBytes(value));
    const item = entry.find((field) => field.number === 2)?.value ?? Buffer.alloc(0);
    out[name] = { ...(out[name] as JsonMap | undefined), [bytesOf(entry, 1).toString()]: readValue(type.of, item, depth) };
  } else out[name] = readValue(type, value, depth);
}

function readValue(type: Type, value: Wire['value'], depth: number): Json {
  if (type.is === 'struct') return readMessage(type.name, asBytes(value), depth + 1);
  if (type.is !== 'scalar') throw badRequest('a protobuf body has a list of lists');
  return readScalar(type.scalar, value);
}

function readScalar(scalar: Scalar, value: Wire['value']): Json {
  switch (scalar) {
    case 'b':
      return value !== 0n;
    case 'i32':
    case 'i64':
      return Number(value);
    case 's':
      return asBytes(value).toString();
    case 'bytes':
      return asBytes(value).toString('base64');
    case 'quantity':
      return bytesOf(readFields(asBytes(value)), 1).toString();
    case 'time':
    case 'microtime':
      return readTime(scalar, readFields(asBytes(value)));
    case 'intstr': {
      const fields = readFields(asBytes(value));
      return numberOf(fields, 1) === 1 ? bytesOf(fields, 3).toString() : numberOf(fields, 2);
    }
    case 'f64':
      return asBytes(value).readDoubleLE();
    case 'any':
      return JSON.parse(bytesOf(readFields(asBytes(value)), 1).toString() || 'null') as Json;
  }
}

function readTime(scalar: 'time' | 'microtime', fields: readonly Wire[]): string | null {
  const seconds = numberOf(fields, 1);
  if (seconds === 0) return null;
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  const micros = String(Math.floor(numberOf(fields, 2) / 1000)).padStart(6, '0');
  return scalar === 'time' ? `${whole}Z` : `${whole}.${micros}Z`;
}

function asBytes(value: Wire['value']): Buffer {
  if (!Buffer.isBuffer(value)) throw badRequest('a protobuf body has a number where a message belongs');
  return value;
}
