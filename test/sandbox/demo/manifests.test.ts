import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { at, list } from '../../../src/kube/objects.ts';

const FOLDER = join(import.meta.dirname, '../../../src/sandbox/demo/manifests');

function read(file: string): readonly object[] {
  return parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => document.toJS() as object);
}

test.each([
  { file: 'kubia-svc-nodeport.yaml', type: 'NodePort', port: { port: 80, targetPort: 8080, nodePort: 30123 } },
  { file: 'kubia-svc-loadbalancer.yaml', type: 'LoadBalancer', port: { port: 80, targetPort: 8080 } },
  { file: 'service-python.yaml', type: undefined, port: { port: 3000, protocol: 'TCP', targetPort: 443 } },
  {
    file: 'service-python-nodeport.yaml',
    type: 'NodePort',
    port: { port: 3000, protocol: 'TCP', targetPort: 443, nodePort: 30080 },
  },
  {
    file: 'service-python-loadbalancer.yaml',
    type: 'LoadBalancer',
    port: { port: 3000, protocol: 'TCP', targetPort: 443, nodePort: 30080 },
  },
  { file: 'tomcat-service.yaml', type: 'NodePort', port: { port: 30080, targetPort: 8080, nodePort: 30081 } },
  { file: 'tomcat-service-loadbalancer.yaml', type: 'LoadBalancer', port: { port: 30080, targetPort: 8080, nodePort: 30081 } },
  { file: 'my-service.yaml', type: undefined, port: { protocol: 'TCP', port: 80, targetPort: 9376 } },
])('$file is the Service that the tutorials write', ({ file, type, port }) => {
  const spec = at(read(file)[0], 'spec');
  expect({ type: at(spec, 'type'), ports: list(at(spec, 'ports')) }).toEqual({ type, ports: [port] });
});

test('every manifest says what it is', () => {
  for (const file of readdirSync(FOLDER)) {
    for (const object of read(file))
      expect({ file, kind: at(object, 'kind'), name: at(at(object, 'metadata'), 'name') }).toEqual({
        file,
        kind: expect.stringMatching(/^(Namespace|Service|Endpoints|ReplicaSet|Deployment)$/),
        name: expect.any(String),
      });
  }
});
