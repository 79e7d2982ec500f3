import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A Deployment of the test's own program on the image's Node, and a Service in front of it. */
export interface AppOptions {
  readonly namespace: string;
  readonly name: string;
  readonly replicas: number;
  readonly version: string;
  readonly type: 'LoadBalancer' | 'ClusterIP';
  /** With Node in it. */
  readonly image: string;
}

export function appManifest({ namespace, name, replicas, version, type, image }: AppOptions): string {
  const program = readFileSync(join(import.meta.dirname, 'server.mjs'), 'utf8').replaceAll(/^/gm, '    ');
  return `apiVersion: v1
kind: ConfigMap
metadata: { name: ${name}-program, namespace: ${namespace} }
data:
  server.mjs: |
${program}
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 60
      containers:
      - name: app
        image: ${image}
        imagePullPolicy: Never
        command: [node, /program/server.mjs]
        env:
        - { name: APP, value: ${name} }
        - { name: VERSION, value: "${version}" }
        - { name: POD, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
        ports: [{ name: http, containerPort: 8080 }]
        readinessProbe: { httpGet: { path: /, port: http }, periodSeconds: 1 }
        volumeMounts: [{ name: program, mountPath: /program }]
      volumes: [{ name: program, configMap: { name: ${name}-program } }]
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  type: ${type}
  selector: { app: ${name} }
  ports: [{ name: http, port: 80, targetPort: http }]
`;
}
