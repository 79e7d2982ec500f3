import { badRequest } from './failure.ts';
import type { KubeObject } from './json.ts';
import type { Resource } from './resources.ts';

export type Selector = (object: KubeObject) => boolean;

type Labels = Readonly<Record<string, string>>;
type Requirement = (labels: Labels) => boolean;

const everything: Selector = () => true;

/** The most alternatives that one `in (…)` is read with; a longer list is refused. */
const VALUES_LIMIT = 1_000;

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api */
export function readLabelSelector(text: string): Selector {
  if (text.trim() === '') return everything;
  const requirements = splitOutside(text).map(readRequirement);
  return (object) => requirements.every((holds) => holds(object.metadata.labels ?? {}));
}

function readRequirement(text: string): Requirement {
  const set = /^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$/.exec(text);
  if (set) return readSet(set);
  const equality = /^\s*([^\s=!]+)\s*(==|=|!=)\s*([^\s=!,]*)\s*$/.exec(text);
  if (equality) {
    const [, key = '', operator, value = ''] = equality;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const exists = /^\s*(!?)\s*([A-Za-z0-9][\w./-]*)\s*$/.exec(text);
  if (!exists) throw badRequest(`unable to parse requirement: found ${JSON.stringify(text)}, expected a label selector`);
  const [, not, key = ''] = exists;
  return (labels) => Object.hasOwn(labels, key) !== (not === '!');
}

function readSet([, key = '', operator, list = '']: RegExpExecArray): Requirement {
  const values = new Set(list.split(',').map((value) => value.trim()));
  if (values.size > VALUES_LIMIT) throw badRequest(`label selector has more than ${VALUES_LIMIT} values for ${key}`);
  if (operator === 'in') return (labels) => values.has(labels[key] ?? '') && Object.hasOwn(labels, key);
  return (labels) => !Object.hasOwn(labels, key) || !values.has(labels[key] ?? '');
}

/** Splits at the commas that stand outside brackets. */
function splitOutside(text: string): string[] {
  return text.split(/,(?![^(]*\))/);
}

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/ */
export function readFieldSelector(text: string, resource: Resource): Selector {
  if (text.trim() === '') return everything;
  const terms = text
    .split(',')
    .filter((term) => term !== '')
    .map((term) => readTerm(term, resource));
  return (object) => terms.every((holds) => holds(object));
}

function readTerm(term: string, resource: Resource): Selector {
  const parts = /^([^=!]+)(==|=|!=)(.*)$/.exec(term);
  if (!parts) throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
  const [, field = '', operator, value = ''] = parts;
  const read = fieldReader(field, resource);
  return operator === '!=' ? (object) => read(object) !== value : (object) => read(object) === value;
}

function fieldReader(field: string, resource: Resource): (object: KubeObject) => string {
  if (field === 'metadata.name') return (object) => object.metadata.name;
  if (field === 'metadata.namespace') return (object) => object.metadata.namespace ?? '';
  const read = Object.hasOwn(resource.selectable, field) ? resource.selectable[field] : undefined;
  if (read) return read;
  throw badRequest(`field label not supported: ${field}`);
}
