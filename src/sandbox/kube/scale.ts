import { at } from '../../kube/objects.ts';
import { decode } from './decode.ts';
import { isMap, type JsonMap, type KubeObject } from './json.ts';
import { structOf } from './schema.ts';

/** autoscaling/v1 Scale of a Deployment or ReplicaSet. */
export function scaleOf(object: KubeObject): JsonMap {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const labels = at(at(object.spec, 'selector'), 'matchLabels');
  const selector = isMap(labels) ? Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`) : [];
  const metadata = { name, ...(namespace ? { namespace } : {}), uid, resourceVersion, creationTimestamp };
  const scale = {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata,
    spec: { replicas: numberAt(object.spec, 'replicas') },
    status: { replicas: numberAt(object.status, 'replicas'), selector: selector.join(',') },
  };
  return decode(structOf('Scale'), scale, []);
}

/** The object with the number of replicas that a Scale asks for. @throws {ApiFailure} 400 when it is none */
export function withScale(object: KubeObject, raw: unknown): KubeObject {
  const scale = decode(structOf('Scale'), raw, []);
  const version = at(scale['metadata'], 'resourceVersion');
  const resourceVersion = typeof version === 'string' ? version : object.metadata.resourceVersion;
  const metadata = { ...object.metadata, resourceVersion };
  return { ...object, metadata, spec: { ...object.spec, replicas: numberAt(scale['spec'], 'replicas') } };
}

function numberAt(value: unknown, key: string): number {
  const found = at(value, key);
  return typeof found === 'number' ? found : 0;
}
