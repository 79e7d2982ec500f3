import type { Json, JsonMap, KubeObject } from './json.ts';
import { type CellReader, readersOf } from './table-cells.ts';

/**
 * Server-side tables, which kubectl prints as they come. @see
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
 */

/** `Name!` is the name column, `Name*` is shown with -o wide only, `Name#` holds a number. */
const columns: Readonly<Record<string, string>> = {
  Service: 'Name! Type Cluster-IP External-IP Port(s) Age Selector*',
  Node: 'Name! Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Container-Runtime*',
  Pod: 'Name! Ready Status Restarts Age IP* Node* Nominated_Node* Readiness_Gates*',
  Endpoints: 'Name! Endpoints Age',
  EndpointSlice: 'Name! AddressType Ports Endpoints Age',
  Event: 'Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count* Name!*',
  Namespace: 'Name! Status Age',
  Lease: 'Name! Holder Age',
  Deployment: 'Name! Ready Up-to-date Available Age Containers* Images* Selector*',
  DaemonSet: 'Name! Desired# Current# Ready# Up-to-date# Available# Node_Selector Age Containers* Images* Selector*',
  ReplicaSet: 'Name! Desired# Current# Ready# Age Containers* Images* Selector*',
  ConfigMap: 'Name! Data Age',
  Secret: 'Name! Type Data Age',
  ServiceAccount: 'Name! Age',
};

function columnsOf(kind: string): JsonMap[] {
  return (columns[kind] ?? 'Name! Age').split(' ').map((word) => {
    const name = word.replaceAll(/[!*#]/g, '').replaceAll('_', ' ');
    return {
      name,
      type: word.includes('#') ? 'integer' : 'string',
      format: word.includes('!') ? 'name' : '',
      description: name,
      priority: word.includes('*') ? 1 : 0,
    };
  });
}

/** What a row carries beside its cells: nothing, the metadata (the default) or the whole object. */
export type Include = 'None' | 'Metadata' | 'Object';

/** @param header false for all but the first event of a watch, whose rows need no columns again */
export function tableOf(
  kind: string,
  objects: readonly KubeObject[],
  metadata: JsonMap,
  options: { include: Include; nowMs: number; header: boolean },
): JsonMap {
  const readers = readersOf(kind);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: options.header ? columnsOf(kind) : null,
    rows: objects.map((object) => rowOf(readers, object, options)),
  };
}

function rowOf(readers: readonly CellReader[], object: KubeObject, options: { include: Include; nowMs: number }): JsonMap {
  const cells = readers.map((read) => read(object, options.nowMs) as Json);
  if (options.include === 'None') return { cells, object: null };
  return { cells, object: (options.include === 'Object' ? object : metadataOf(object)) as unknown as JsonMap };
}

export function metadataOf(object: KubeObject): JsonMap {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata as unknown as JsonMap };
}
