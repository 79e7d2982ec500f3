import { readFile, stat } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import { explain, type Problem, UsageError } from '../errors.ts';
import { at, list, text } from '../kube/objects.ts';

/** A Service or Node of the file, and where in it. */
export interface FileObject {
  readonly kind: 'Service' | 'Node';
  /** Empty: not said, or a Node. */
  readonly namespace: string;
  readonly name: string;
  readonly raw: object;
  /** For complaints: `web.yaml: document 2`. */
  readonly where: string;
}

export interface FileContent {
  readonly objects: readonly FileObject[];
  /** Kinds of what has nothing to do with a load balancer, and how many of each. */
  readonly others: ReadonlyMap<string, number>;
}

/** The API server itself takes no object above 3 MiB; many small ones are no manifest that a person has written. */
const MAX_BYTES = 33_554_432;
const MAX_TOLD = 10;

/** @param path `-`: standard input @throws {UsageError} with everything that is wrong with the file */
export async function readManifests(path: string): Promise<FileContent> {
  const name = path === '-' ? 'standard input' : path;
  return parseManifests(path === '-' ? await readStdin() : await readText(path), name);
}

/** YAML of several documents, or JSON; Lists are taken apart. @throws {UsageError} */
export function parseManifests(content: string, name: string): FileContent {
  const problems: Problem[] = [];
  const objects: FileObject[] = [];
  const others = new Map<string, number>();
  for (const [index, document] of parseAllDocuments(content, { prettyErrors: true }).entries()) {
    const where = `${name}: document ${index + 1}`;
    if (document.errors.length > 0) {
      problems.push({ where, message: sayNoYaml(document.errors) });
      continue;
    }
    for (const item of takeApart(toValue(document, where, problems), where)) sort(item, objects, others, problems);
  }
  judgeTwins(objects, problems);
  if (objects.length === 0 && problems.length === 0) {
    const has = others.size === 0 ? 'nothing' : `only ${[...others.keys()].sort().join(', ')}`;
    problems.push({ where: '--file', value: name, message: `has no Service and no Node (it has ${has})` });
  }
  if (problems.length > 0) throw new UsageError(problems.slice(0, MAX_TOLD));
  return { objects, others };
}

/** What follows the first error mostly follows from it. */
function sayNoYaml(errors: readonly Error[]): string {
  const [first = ''] = (errors[0]?.message ?? '').split('\n', 1);
  const more = errors.length > 1 ? `, and ${errors.length - 1} more` : '';
  return `is not YAML: ${first.replace(/:$/, '')}${more}`;
}

function toValue(document: { toJS(): unknown }, where: string, problems: Problem[]): unknown {
  try {
    return document.toJS(); // throws on too many aliases (maxAliasCount, 100)
  } catch (thrown) {
    problems.push({ where, message: `is not YAML that can be used: ${explain(thrown)}` });
    return undefined;
  }
}

interface Item {
  readonly raw: unknown;
  readonly where: string;
}

/** A document without anything in it is what is between two `---`. */
function takeApart(raw: unknown, where: string): readonly Item[] {
  if (raw === null || raw === undefined) return [];
  const kind = text(at(raw, 'kind'));
  if (!kind.endsWith('List') || !Array.isArray(at(raw, 'items'))) return [{ raw, where }];
  const lacking = kind === 'List' ? '' : kind.slice(0, -'List'.length); // items of a ServiceList need not say what they are
  return list(at(raw, 'items')).map((item, index) => ({
    raw: lacking !== '' && typeof item === 'object' && item !== null ? { kind: lacking, ...item } : item,
    where: `${where}, item ${index + 1}`,
  }));
}

function sort({ raw, where }: Item, objects: FileObject[], others: Map<string, number>, problems: Problem[]): void {
  const kind = text(at(raw, 'kind'));
  const name = text(at(at(raw, 'metadata'), 'name'));
  if (kind === '') problems.push({ where, message: 'is no Kubernetes object: it has no kind' });
  else if (kind !== 'Service' && kind !== 'Node') others.set(kind, (others.get(kind) ?? 0) + 1);
  else if (isOfAnotherGroup(raw)) others.set(`${kind} of ${text(at(raw, 'apiVersion'))}`, 1);
  else if (name === '') problems.push({ where, message: `${kind}: metadata.name is missing` });
  else {
    const namespace = kind === 'Service' ? text(at(at(raw, 'metadata'), 'namespace')) : '';
    objects.push({ kind, namespace, name, raw: raw as object, where });
  }
}

/** Knative has a kind of that name, too. */
function isOfAnotherGroup(raw: unknown): boolean {
  const version = text(at(raw, 'apiVersion'));
  return version !== '' && version !== 'v1';
}

function judgeTwins(objects: readonly FileObject[], problems: Problem[]): void {
  const seen = new Map<string, string>();
  for (const { kind, namespace, name, where } of objects) {
    const id = `${kind} ${namespace}/${name}`;
    const first = seen.get(id);
    if (first !== undefined) problems.push({ where, message: `${kind} ${name} is already in ${first}` });
    else seen.set(id, where);
  }
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size <= MAX_BYTES) return await readFile(path, 'utf8');
    throw new Error(`it has ${size} bytes, and at most ${MAX_BYTES} are read`);
  } catch (cause) {
    throw new UsageError([{ where: '--file', value: path, message: `cannot be read: ${explain(cause)}` }], { cause });
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES)
      throw new UsageError([{ where: '--file', value: '-', message: `has more than ${MAX_BYTES} bytes, which are the most` }]);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
