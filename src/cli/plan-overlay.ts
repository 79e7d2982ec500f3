import { type Problem, UsageError } from '../errors.ts';
import { at, list, text, texts } from '../kube/objects.ts';
import type { FileObject } from './plan-file.ts';
import { mergeApplied, portId, wasApplied } from './plan-merge.ts';

type Json = Readonly<Record<string, unknown>>;

/** The cluster's objects with a file's laid over them, as the API server would have them afterwards. */
export interface Overlay {
  readonly services: readonly unknown[];
  readonly nodes: readonly unknown[];
  /** `namespace/name` of the file's Services. */
  readonly named: readonly string[];
  readonly stand: StandIns;
}

/**
 * Numbers that only the API server can allocate. A stand-in is planned with, and is shown as what it stands for: a number out of the
 * usual range of nodePorts (30000 to 32767) that nobody in the cluster has.
 */
export interface StandIns {
  /** `namespace/name` of Services that have one. */
  readonly services: ReadonlySet<string>;
  /** Puts what they stand for in their place. */
  unveil(words: string): string;
}

/** @param now RFC 3339, when what is not there yet is made @throws {UsageError} for what the API server would refuse */
export function layOver(
  live: { readonly services: readonly unknown[]; readonly nodes: readonly unknown[] },
  objects: readonly FileObject[],
  now: string,
): Overlay {
  const families = describeFamilies(live.services);
  const services = new Map(live.services.map((raw) => [nameOf(raw), raw]));
  const nodes = new Map(live.nodes.map((raw) => [nameOf(raw), raw]));
  const problems: Problem[] = [];
  const allocate = makeAllocator([...live.services, ...objects.map(({ raw }) => raw)]);
  const named: string[] = [];
  for (const object of objects) {
    const map = object.kind === 'Node' ? nodes : services;
    const name = object.kind === 'Node' ? `/${object.name}` : `${object.namespace}/${object.name}`;
    const before = map.get(name);
    const merged = before === undefined ? makeNew(object, now) : mergeApplied(before, object.raw);
    if (object.kind === 'Node') {
      nodes.set(name, { ...merged, status: at(object.raw, 'status') ?? at(before, 'status') });
      continue;
    }
    named.push(name);
    problems.push(...refuseChange(before, merged, object.where), ...refusePorts(before, merged, object));
    services.set(name, completeService(merged, before, { name, families, allocate }));
  }
  if (problems.length > 0) throw new UsageError(problems);
  return { services: [...services.values()], nodes: [...nodes.values()], named, stand: allocate.stand };
}

function nameOf(raw: unknown): string {
  const metadata = at(raw, 'metadata');
  return `${text(at(metadata, 'namespace'))}/${text(at(metadata, 'name'))}`;
}

function makeNew({ namespace, name, raw }: FileObject, now: string): Json {
  const metadata = at(raw, 'metadata') as object;
  const uid = `<uid of ${namespace === '' ? name : `${namespace}/${name}`}>`;
  return { ...raw, metadata: { ...metadata, namespace, uid, creationTimestamp: now, resourceVersion: '' }, status: {} };
}

/** What kubectl would be answered with 422. */
function refuseChange(before: unknown, after: unknown, where: string): readonly Problem[] {
  const [was, is] = [at(before, 'spec'), at(after, 'spec')];
  if (before === undefined || at(was, 'type') !== 'LoadBalancer' || at(is, 'type') !== 'LoadBalancer') return [];
  const [classBefore, classAfter] = [text(at(was, 'loadBalancerClass')), text(at(is, 'loadBalancerClass'))];
  if (classBefore === classAfter) return [];
  const message = `Service ${nameOf(after)}: the API server refuses to change it from ${classBefore || 'none'} while the type stays LoadBalancer; apply it with type NodePort first, then with this`;
  return [{ where: `${where}: spec.loadBalancerClass`, ...(classAfter ? { value: classAfter } : {}), message }];
}

/** What an apply leaves of the ports that were there may not go together with what it brings. */
function refusePorts(before: unknown, after: unknown, { raw, where }: FileObject): readonly Problem[] {
  const given = new Set(list(at(at(raw, 'spec'), 'ports')).map(portId));
  const ports = list(at(at(after, 'spec'), 'ports'));
  const ids = ports.map(portId);
  const names = ports.map((port) => text(at(port, 'name')));
  const twins = [...findTwins(ids), ...findTwins(names.filter((name) => name !== ''))].map((twin) => `${twin} is there twice`);
  const faults = [...(ports.length > 1 && names.includes('') ? [`with ${ports.length} ports each needs a name`] : []), ...twins];
  if (faults.length === 0) return [];
  const stays = before === undefined ? [] : ids.filter((id) => !given.has(id));
  const why = wasApplied(before) ? 'the manifest applied last did not have it' : 'the object was not made by kubectl apply';
  const left = stays.length === 0 ? '' : ` (${stays.join(', ')} stays, because ${why})`;
  const message = `Service ${nameOf(after)}: the API server would refuse it: ${faults.join('; ')}${left}`;
  return [{ where: `${where}: spec.ports`, message }];
}

function findTwins(words: readonly string[]): ReadonlySet<string> {
  return new Set(words.filter((word, index) => words.indexOf(word) !== index));
}

interface Surroundings {
  readonly name: string;
  readonly families: Families;
  readonly allocate: Allocate;
}

/** Fills in what the API server would. */
function completeService(merged: Json, before: unknown, { name, families, allocate }: Surroundings): Json {
  const spec = (at(merged, 'spec') ?? {}) as Json;
  const type = text(spec['type']) || 'ClusterIP';
  const isLocal = spec['externalTrafficPolicy'] === 'Local';
  const allocates = type === 'NodePort' || (type === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] !== false);
  const ports = keepNodePorts(list(spec['ports']), list(at(at(before, 'spec'), 'ports')));
  const given = {
    type,
    ports: ports.map((port) =>
      allocates && !at(port, 'nodePort')
        ? { ...(port as object), nodePort: allocate(name, `nodePort-${String(at(port, 'port'))}`) }
        : port,
    ),
    ...(texts(spec['ipFamilies']).length > 0 ? {} : { ipFamilies: families.for(text(spec['ipFamilyPolicy'])) }),
    ...(type === 'LoadBalancer' && isLocal && !spec['healthCheckNodePort']
      ? { healthCheckNodePort: allocate(name, 'healthCheckNodePort') }
      : {}),
  };
  return { ...merged, spec: { ...spec, ...given } };
}

/** A port that only changes its number keeps its nodePort by its name. */
function keepNodePorts(ports: readonly unknown[], before: readonly unknown[]): readonly unknown[] {
  const taken = new Set(ports.map((port) => at(port, 'nodePort')));
  return ports.map((port) => {
    const had = before.find((one) => text(at(one, 'name')) === text(at(port, 'name')));
    const nodePort = at(had, 'nodePort');
    if (at(port, 'nodePort') || !nodePort || taken.has(nodePort)) return port;
    taken.add(nodePort);
    return { ...(port as object), nodePort };
  });
}

interface Families {
  for(policy: string): readonly string[];
}

/** What a Service gets that names no family, as the cluster's others tell. */
function describeFamilies(services: readonly unknown[]): Families {
  const known = services.map((raw) => texts(at(at(raw, 'spec'), 'ipFamilies'))).filter((list) => list.length > 0);
  const base = services.find((raw) => nameOf(raw) === 'default/kubernetes');
  const primary = texts(at(at(base, 'spec'), 'ipFamilies'))[0] ?? known[0]?.[0] ?? 'IPv4';
  const both = [primary, primary === 'IPv4' ? 'IPv6' : 'IPv4'];
  const isDual = known.some((families) => families.length > 1);
  return { for: (policy) => (policy === 'RequireDualStack' || (policy === 'PreferDualStack' && isDual) ? both : [primary]) };
}

interface Allocate {
  (service: string, meaning: string): number;
  readonly stand: StandIns;
}

/** Downwards from here, far from the ends of the range, which are in rules of security groups. */
const FIRST = 31_987;
const LAST = 30_001;

function makeAllocator(objects: readonly unknown[]): Allocate {
  const taken = new Set<unknown>(objects.flatMap((raw) => numbersOf(at(raw, 'spec'))));
  const meanings = new Map<string, number>();
  const services = new Set<string>();
  let next = FIRST;
  const allocate = (service: string, meaning: string): number => {
    const known = meanings.get(`${service} ${meaning}`);
    if (known !== undefined) return known; // TCP and UDP on one port get one nodePort
    while (taken.has(next) && next > LAST) next -= 1;
    meanings.set(`${service} ${meaning}`, next);
    taken.add(next);
    services.add(service);
    return next;
  };
  const unveil = (words: string): string => {
    let shown = words;
    for (const [meaning, number] of meanings) {
      shown = shown.replaceAll(new RegExp(`(?<![\\w.])${number}(?!\\w)`, 'g'), `<${meaning.slice(meaning.indexOf(' ') + 1)}>`);
    }
    return shown;
  };
  return Object.assign(allocate, { stand: { services, unveil } });
}

function numbersOf(spec: unknown): readonly unknown[] {
  return [
    at(spec, 'healthCheckNodePort'),
    ...list(at(spec, 'ports')).flatMap((port) => [at(port, 'nodePort'), at(port, 'port')]),
  ];
}
