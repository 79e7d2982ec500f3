import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../lab/command.ts';
import { findGo, fromCache } from '../tools.ts';

/** The last minor version whose published module builds by itself: later ones replace modules by folders that it does not hold. */
const TRAEFIK = '3.0.4';
const BUILD_MS = 25 * 60_000; // 2 minutes were seen on two cores with empty caches
const FETCH_MS = 10 * 60_000;

/** An Ingress controller that others wrote, built once and kept outside the checkout. @returns the directory with `traefik` */
export async function buildTraefik(say: (line: string) => void): Promise<string> {
  const made = await fromCache(`traefik-${TRAEFIK}`, async (directory) => {
    const go = await findGo(say);
    say(`building Traefik ${TRAEFIK}`);
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -modcacherw' };
    const module = `github.com/traefik/traefik/v3@v${TRAEFIK}`;
    const { stdout } = await run(go, ['mod', 'download', '-json', module], { env, timeoutMs: FETCH_MS });
    const { Dir } = JSON.parse(stdout) as { Dir: string };
    const source = join(directory, 'source'); // as the main module, whose replacements then count
    cpSync(Dir, source, { recursive: true });
    await run('chmod', ['-R', 'u+w', source]);
    const args = ['-n', '10', go, 'build', '-trimpath', '-ldflags', '-s -w', '-o', '../built', './cmd/traefik'];
    await run('nice', args, { cwd: source, env, timeoutMs: BUILD_MS });
    rmSync(source, { recursive: true });
    renameSync(join(directory, 'built'), join(directory, 'traefik'));
    return true;
  });
  return made ?? '';
}

/** In namespace ingress, behind a Service of type LoadBalancer whose address it repeats on every Ingress. */
export function traefikManifest(image: string): string {
  return `apiVersion: v1
kind: Namespace
metadata: { name: ingress }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: traefik, namespace: ingress }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: traefik }
rules:
- { apiGroups: [""], resources: [services, endpoints, secrets, nodes], verbs: [get, list, watch] }
- { apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch] }
- { apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [get, list, watch] }
- { apiGroups: [networking.k8s.io], resources: [ingresses/status], verbs: [update] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: traefik }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: traefik }
subjects: [{ kind: ServiceAccount, name: traefik, namespace: ingress }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: traefik, namespace: ingress }
spec:
  selector: { matchLabels: { app: traefik } }
  template:
    metadata: { labels: { app: traefik } }
    spec:
      serviceAccountName: traefik
      containers:
      - name: traefik
        image: ${image}
        imagePullPolicy: Never
        args:
        - --entrypoints.web.address=:8000
        - --ping=true
        - --ping.entrypoint=web
        - --global.checknewversion=false
        - --global.sendanonymoususage=false
        - --providers.kubernetesingress=true
        - --providers.kubernetesingress.ingressendpoint.publishedservice=ingress/traefik
        ports: [{ name: web, containerPort: 8000 }]
        readinessProbe: { httpGet: { path: /ping, port: web }, periodSeconds: 2 }
---
apiVersion: v1
kind: Service
metadata: { name: traefik, namespace: ingress }
spec:
  type: LoadBalancer
  selector: { app: traefik }
  ports: [{ name: web, port: 8080, targetPort: web }]
`;
}

/** One host, two paths, two Services. */
export function ingressManifest(namespace: string): string {
  const path = (at: string, service: string) =>
    `{ path: ${at}, pathType: Prefix, backend: { service: { name: ${service}, port: { number: 80 } } } }`;
  return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: kubia, namespace: ${namespace} }
spec:
  rules:
  - host: kubia.example.com
    http:
      paths:
      - ${path('/kubia', 'kubia')}
      - ${path('/foo', 'foo')}
`;
}
