import { at, text } from '../../kube/objects.ts';
import type { Named } from './failure.ts';
import type { KubeObject } from './json.ts';

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

/** One resource of the API: how it is called, and the rules in which the real server's resources differ. */
export interface Resource extends Named {
  readonly version: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly Verb[];
  /** Name of the shape in types-*.ts. */
  readonly shape: string;
  /** Resources with one `table` show the same objects (events of both groups). */
  readonly table: string;
  /** Subresources beside the object itself. */
  readonly subresources: readonly ('status' | 'scale')[];
  /** PUT on a name that is not there creates it. */
  readonly createsOnUpdate: boolean;
  /** PUT without a resourceVersion is accepted. */
  readonly unconditionalUpdate: boolean;
  /** DELETE answers with the object instead of a Status. */
  readonly returnsDeleted: boolean;
  /** metadata.generation counts the changes of this part of the object. */
  readonly generationOf?: 'spec' | 'all';
  /** Field selectors beside metadata.name and metadata.namespace. */
  readonly selectable: Readonly<Record<string, (object: KubeObject) => string>>;
  /** Said in a Warning header with every answer. */
  readonly warning?: string;
}

const allVerbs: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

type Given = Partial<Resource> & Pick<Resource, 'resource' | 'kind'>;

function resource(given: Given): Resource {
  const group = given.group ?? '';
  return {
    group,
    version: 'v1',
    singular: given.kind.toLowerCase(),
    namespaced: true,
    shortNames: [],
    categories: [],
    verbs: allVerbs,
    shape: given.kind,
    table: group === '' ? given.resource : `${group}/${given.resource}`,
    subresources: [],
    createsOnUpdate: false,
    unconditionalUpdate: true,
    returnsDeleted: false,
    selectable: {},
    ...given,
  };
}

/** A selector that reads the text under a path of the object. */
function path(...keys: readonly string[]): (object: KubeObject) => string {
  return (object) => {
    const value = keys.reduce<unknown>(at, object);
    return typeof value === 'boolean' ? String(value) : text(value);
  };
}

function involved(field: string): Readonly<Record<string, (object: KubeObject) => string>> {
  const keys = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
  return {
    ...Object.fromEntries(keys.map((key) => [`${field}.${key}`, path('involvedObject', key)])),
    reason: path('reason'),
    reportingComponent: (event) => path('reportingComponent')(event) || path('source', 'component')(event),
    source: (event) => path('source', 'component')(event) || path('reportingComponent')(event),
    type: path('type'),
  };
}

const events: Given = {
  resource: 'events',
  kind: 'Event',
  shortNames: ['ev'],
  createsOnUpdate: true,
  selectable: { ...involved('involvedObject'), ...involved('regarding') },
};

const apps = { group: 'apps', categories: ['all'], subresources: ['status', 'scale'], generationOf: 'spec' } as const;

export const resources: readonly Resource[] = [
  resource({
    resource: 'namespaces',
    kind: 'Namespace',
    namespaced: false,
    shortNames: ['ns'],
    verbs: allVerbs.filter((verb) => verb !== 'deletecollection'),
    subresources: ['status'],
    returnsDeleted: true,
    selectable: { 'status.phase': path('status', 'phase') },
  }),
  resource({
    resource: 'services',
    kind: 'Service',
    shortNames: ['svc'],
    categories: ['all'],
    subresources: ['status'],
    createsOnUpdate: true,
    returnsDeleted: true,
    selectable: { 'spec.clusterIP': path('spec', 'clusterIP'), 'spec.type': path('spec', 'type') },
  }),
  resource({
    resource: 'endpoints',
    kind: 'Endpoints',
    singular: 'endpoints',
    shortNames: ['ep'],
    createsOnUpdate: true,
    warning: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
  }),
  resource({
    resource: 'nodes',
    kind: 'Node',
    namespaced: false,
    shortNames: ['no'],
    subresources: ['status'],
    selectable: { 'spec.unschedulable': (node) => path('spec', 'unschedulable')(node) || 'false' },
  }),
  resource({
    resource: 'pods',
    kind: 'Pod',
    shortNames: ['po'],
    categories: ['all'],
    subresources: ['status'],
    returnsDeleted: true,
    generationOf: 'spec',
    selectable: {
      'spec.nodeName': path('spec', 'nodeName'),
      'spec.restartPolicy': path('spec', 'restartPolicy'),
      'spec.schedulerName': path('spec', 'schedulerName'),
      'spec.serviceAccountName': path('spec', 'serviceAccountName'),
      'spec.hostNetwork': (pod) => path('spec', 'hostNetwork')(pod) || 'false',
      'status.phase': path('status', 'phase'),
      'status.podIP': path('status', 'podIP'),
      'status.nominatedNodeName': path('status', 'nominatedNodeName'),
    },
  }),
  resource(events),
  resource({ resource: 'configmaps', kind: 'ConfigMap', shortNames: ['cm'] }),
  resource({ resource: 'secrets', kind: 'Secret', selectable: { type: path('type') } }),
  resource({ resource: 'serviceaccounts', kind: 'ServiceAccount', shortNames: ['sa'], returnsDeleted: true }),
  resource({ ...apps, resource: 'deployments', kind: 'Deployment', shortNames: ['deploy'] }),
  resource({ ...apps, resource: 'daemonsets', kind: 'DaemonSet', shortNames: ['ds'], subresources: ['status'] }),
  resource({ ...apps, resource: 'replicasets', kind: 'ReplicaSet', shortNames: ['rs'] }),
  resource({
    group: 'coordination.k8s.io',
    resource: 'leases',
    kind: 'Lease',
    createsOnUpdate: true,
    unconditionalUpdate: false,
  }),
  resource({ group: 'discovery.k8s.io', resource: 'endpointslices', kind: 'EndpointSlice', generationOf: 'all' }),
  resource({ ...events, group: 'events.k8s.io', shape: 'EventsEvent', table: 'events' }),
];

export function groupVersionOf(type: Pick<Resource, 'group' | 'version'>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** @throws {Error} for a resource that is not served: a fault of this program */
export function resourceNamed(name: string, group = ''): Resource {
  const found = resources.find((each) => each.resource === name && each.group === group);
  if (!found) throw new Error(`no resource ${name} in group ${JSON.stringify(group)}`);
  return found;
}
