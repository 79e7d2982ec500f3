import { badRequest } from './failure.ts';
import { isMap, type Json, type JsonMap } from './json.ts';
import { type Field, type Scalar, type Struct, structOf, type Type } from './schema.ts';

/** What a body said that the shape has no place for; the API calls them strict decoding errors. */
export type Unknown = string[];

/**
 * Reads JSON as the API server's typed structs would: unknown fields fall away, empty optional ones too, field order becomes the
 * API's own. The result shares nothing with the input, so it may be changed until it is stored.
 * @param unknown the fields that fell away are added here, as `unknown field "spec.x"`
 * @throws {ApiFailure} 400 where a value has the wrong type
 */
export function decode(struct: Struct, value: unknown, unknown: Unknown): JsonMap {
  if (!isMap(value)) throw badRequest(`json: cannot unmarshal ${goName(value)} into Go value of type ${struct.name}`);
  return decodeStruct(struct, value, '', unknown);
}

/** What of a decoded object its author really wrote: nothing filled in, nothing left out but nulls. For server-side apply. */
export function onlyGiven(type: Type, decoded: Json, given: Json): Json {
  if (type.is === 'list' && Array.isArray(given) && Array.isArray(decoded)) {
    return decoded.map((item, i) => onlyGiven(type.of, item, given[i] ?? null));
  }
  if ((type.is !== 'struct' && type.is !== 'map') || !isMap(given) || !isMap(decoded)) return decoded;
  const out: JsonMap = {};
  for (const [key, value] of Object.entries(given)) {
    const of = type.is === 'map' ? type.of : structOf(type.name).fields.get(key)?.type;
    if (of && value !== undefined && value !== null) out[key] = onlyGiven(of, decoded[key] ?? value, value);
  }
  return out;
}

function decodeStruct(struct: Struct, value: JsonMap, path: string, unknown: Unknown): JsonMap {
  const out: JsonMap = {};
  for (const field of struct.fields.values()) {
    const given = Object.hasOwn(value, field.name) ? value[field.name] : undefined;
    const decoded = given === undefined || given === null ? zeroOf(field) : decodeField(struct, field, given, path, unknown);
    if (decoded !== undefined) out[field.name] = decoded;
  }
  for (const key of Object.keys(value)) {
    if (!struct.fields.has(key)) unknown.push(`unknown field ${JSON.stringify(join(path, key))}`);
  }
  return out;
}

function decodeField(struct: Struct, field: Field, given: Json, path: string, unknown: Unknown): Json | undefined {
  const decoded = decodeValue(field.type, given, { struct: struct.name, path: join(path, field.name) }, unknown);
  if (field.always && Array.isArray(decoded) && decoded.length === 0) return null;
  return field.always || field.pointer || !isEmpty(field.type, decoded) ? decoded : undefined;
}

interface Place {
  readonly struct: string;
  readonly path: string;
}

function decodeValue(type: Type, value: Json | undefined, place: Place, unknown: Unknown): Json {
  if (value === undefined || value === null)
    return type.is === 'struct' ? decodeStruct(structOf(type.name), {}, place.path, unknown) : zero(type);
  switch (type.is) {
    case 'list':
      if (!Array.isArray(value)) throw mismatch(value, place, '[]' + goType(type.of));
      return value.map((item, i) => decodeValue(type.of, item, { ...place, path: `${place.path}[${i}]` }, unknown));
    case 'map':
      if (!isMap(value)) throw mismatch(value, place, 'map[string]' + goType(type.of));
      return Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, decodeValue(type.of, value[key], { ...place, path: join(place.path, key) }, unknown)]),
      );
    case 'struct':
      if (!isMap(value)) throw mismatch(value, place, goType(type));
      return decodeStruct(structOf(type.name), value, place.path, unknown);
    case 'scalar':
      return decodeScalar(type.scalar, value, place);
  }
}

function decodeScalar(scalar: Scalar, value: Json, place: Place): Json {
  switch (scalar) {
    case 'b':
      if (typeof value !== 'boolean') throw mismatch(value, place, 'bool');
      return value;
    case 'i32':
    case 'i64':
      if (typeof value !== 'number' || !fits(scalar, value)) throw mismatch(value, place, scalar === 'i32' ? 'int32' : 'int64');
      return value;
    case 'f64':
      if (typeof value !== 'number') throw mismatch(value, place, 'float64');
      return value;
    case 'intstr':
      if (typeof value !== 'string' && !(typeof value === 'number' && fits('i32', value)))
        throw mismatch(value, place, 'intstr.IntOrString');
      return value;
    case 'quantity':
      if (typeof value !== 'string' && typeof value !== 'number') throw mismatch(value, place, 'resource.Quantity');
      return String(value);
    case 'time':
    case 'microtime':
      return decodeTime(scalar, value, place);
    case 'any':
      return value;
    case 'bytes':
      if (typeof value !== 'string') throw mismatch(value, place, '[]uint8');
      if (Buffer.from(value, 'base64').toString('base64') !== value) throw badRequest(`illegal base64 data at ${place.path}`);
      return value;
    default:
      if (typeof value !== 'string') throw mismatch(value, place, 'string');
      return value;
  }
}

const timeShape = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function decodeTime(scalar: 'time' | 'microtime', value: Json, place: Place): string {
  if (typeof value !== 'string') throw mismatch(value, place, scalar === 'time' ? 'v1.Time' : 'v1.MicroTime');
  const ms = timeShape.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw badTime(value, '2006-01-02T15:04:05Z07:00');
  if (scalar === 'microtime' && !/\.\d{6}(Z|[+-])/.test(value)) throw badTime(value, '2006-01-02T15:04:05.000000Z07:00');
  const whole = new Date(ms).toISOString();
  if (scalar === 'time') return `${whole.slice(0, 19)}Z`;
  const fraction = /\.(\d+)/.exec(value)?.[1] ?? '';
  return `${whole.slice(0, 19)}.${fraction}Z`;
}

function badTime(value: string, layout: string): Error {
  return badRequest(`parsing time ${JSON.stringify(value)} as ${JSON.stringify(layout)}: cannot parse`);
}

/** What an absent field is written as; undefined when it is left out. */
function zeroOf(field: Field): Json | undefined {
  if (!field.always) return undefined;
  if (field.pointer) return null;
  return field.type.is === 'struct' ? decodeStruct(structOf(field.type.name), {}, '', []) : zero(field.type);
}

function zero(type: Type): Json {
  if (type.is !== 'scalar') return null;
  const zeros = {
    s: '',
    b: false,
    i32: 0,
    i64: 0,
    f64: 0,
    intstr: 0,
    quantity: '0',
    time: null,
    microtime: null,
    bytes: null,
    any: null,
  } as const;
  return zeros[type.scalar];
}

function isEmpty(type: Type, value: Json): boolean {
  if (value === null || value === '' || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return type.is !== 'scalar' && isMap(value) && Object.keys(value).length === 0;
}

function fits(scalar: 'i32' | 'i64', value: number): boolean {
  return Number.isInteger(value) && (scalar === 'i64' || (value >= -2147483648 && value <= 2147483647));
}

function mismatch(value: Json, place: Place, type: string): Error {
  const path = place.path.replaceAll(/\[\d+\]/g, '');
  return badRequest(`json: cannot unmarshal ${goName(value)} into Go struct field ${place.struct}.${path} of type ${type}`);
}

function goName(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'number' ? `number${Number.isInteger(value) ? '' : ` ${value}`}` : typeof value;
}

function goType(type: Type): string {
  if (type.is === 'struct') return `v1.${type.name}`;
  if (type.is === 'scalar') return { s: 'string', b: 'bool', i32: 'int32', i64: 'int64' }[type.scalar as string] ?? type.scalar;
  return type.is === 'list' ? `[]${goType(type.of)}` : `map[string]${goType(type.of)}`;
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
