import { coreTypes } from './types-core.ts';
import { podTypes } from './types-pods.ts';
import { volumeTypes } from './types-volumes.ts';

/** The shapes of the API's objects, read once from the tables in types-*.ts. */

export type Scalar = 's' | 'b' | 'i32' | 'i64' | 'f64' | 'time' | 'microtime' | 'intstr' | 'quantity' | 'bytes' | 'any';

export type Type =
  | { readonly is: 'scalar'; readonly scalar: Scalar }
  | {
      readonly is: 'list';
      readonly of: Type;
      readonly items: 'atomic' | 'set' | 'map';
      readonly keys: readonly string[];
      readonly patch?: string;
    }
  | { readonly is: 'map'; readonly of: Type; readonly atomic: boolean }
  | { readonly is: 'struct'; readonly name: string; readonly atomic: boolean; readonly retainKeys: boolean };

export interface Field {
  readonly name: string;
  readonly type: Type;
  /** Written even when empty. */
  readonly always: boolean;
  /** A zero is a value, not an absence. */
  readonly pointer: boolean;
  /** Number in the API's protobuf messages; 0 for kind and apiVersion of an object, which are not in them. */
  readonly number: number;
}

export interface Struct {
  readonly name: string;
  readonly fields: ReadonlyMap<string, Field>;
}

const scalarNames = /^(s|b|i32|i64|f64|time|microtime|intstr|quantity|bytes|any)$/;
const structs: ReadonlyMap<string, Struct> = readTables([coreTypes, podTypes, volumeTypes]);

/** @throws {Error} for a name that the tables have not got: a fault of this program */
export function structOf(name: string): Struct {
  const struct = structs.get(name);
  if (!struct) throw new Error(`no shape named ${name}`);
  return struct;
}

export function allStructs(): Iterable<Struct> {
  return structs.values();
}

function readTables(tables: readonly string[]): ReadonlyMap<string, Struct> {
  const lines = tables.flatMap((table) => table.replaceAll(/\n +/g, ' ').split('\n'));
  return new Map(lines.filter((line) => line !== '').map((line) => readStruct(line)));
}

function readStruct(line: string): [string, Struct] {
  const [name = '', rest = ''] = line.split(': ');
  const fields = readFields(rest.split('; '));
  return [name, { name, fields: new Map(fields.map((field) => [field.name, field])) }];
}

function readFields(texts: readonly string[]): Field[] {
  const typed = texts[0]?.startsWith('kind s') && texts[1]?.startsWith('apiVersion s') && texts[2]?.startsWith('metadata');
  let number = typed ? -2 : 0;
  return texts.map((text) => {
    const [word = '', type = ''] = text.split(' ');
    const [, name = '', given] = /^(\w+)(?:=(\d+))?/.exec(word) ?? [];
    number = given === undefined ? number + 1 : Number(given);
    return { name, type: readType(type), always: word.includes('!'), pointer: word.includes('*'), number: Math.max(0, number) };
  });
}

function readType(text: string): Type {
  const list = /^\[(.*)\](@([\w,]*))?(\^([\w$,]*))?$/.exec(text);
  if (list) return readList(list);
  const map = /^\{(.*)\}(~?)(\^.*)?$/.exec(text);
  if (map) return { is: 'map', of: readType(map[1] ?? ''), atomic: map[2] === '~' };
  if (scalarNames.test(text)) return { is: 'scalar', scalar: text as Scalar };
  const struct = /^(\w+)(~?)(\^.*)?$/.exec(text);
  const retainKeys = struct?.[3]?.includes('retainKeys') ?? false;
  return { is: 'struct', name: struct?.[1] ?? '', atomic: struct?.[2] === '~', retainKeys };
}

function readList([, of = '', items, keys = '', patch, patchKey = '']: RegExpExecArray): Type {
  const kind = items === undefined ? 'atomic' : keys === '' ? 'set' : 'map';
  return {
    is: 'list',
    of: readType(of),
    items: kind,
    keys: keys === '' ? [] : keys.split(','),
    ...(patch === undefined ? {} : { patch: patchKey.split('$')[0] ?? '' }),
  };
}
