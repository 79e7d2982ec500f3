import { randomBytes } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_PORT, API_SERVER, ETCD, kubeconfigText, type Plane, preparePlane } from '../lab/control-plane.ts';
import { HUB_ADDRESS, POD_RANGE, SERVICE_RANGE } from '../lab/network.ts';
import { Process } from '../lab/process.ts';
import type { Parts } from './parts.ts';

/** The control plane of a cluster with kubelets: the lab's, and in addition who they and the scheduler are. */
export interface ClusterPlane extends Plane {
  readonly parts: Parts;
  /** Kubeconfig files by node, and the scheduler's. */
  readonly kubeconfigs: Readonly<Record<string, string>>;
}

export function prepareClusterPlane(directory: string, hub: string, parts: Parts, nodes: readonly string[]): ClusterPlane {
  const plane = preparePlane(directory, hub, parts);
  const users = [
    ...nodes.map((name) => ({ name, user: `system:node:${name}`, groups: 'system:nodes' })),
    { name: 'scheduler', user: 'system:kube-scheduler', groups: '' },
  ];
  const kubeconfigs = users.map(({ name, user, groups }) => {
    const token = randomBytes(16).toString('hex');
    appendFileSync(join(directory, 'tokens.csv'), `${token},${user},${user},"${groups}"\n`);
    const file = join(directory, `${name}.kubeconfig`);
    writeFileSync(file, kubeconfigText({ server: API_SERVER, certificate: plane.certificate, token, context: 'lab' }));
    return [name, file] as const;
  });
  return { ...plane, parts, kubeconfigs: Object.fromEntries(kubeconfigs) };
}

/** As a real one: ServiceAccounts with tokens that run out, RBAC and the node authorizer, its own endpoints. */
export function startRealApiServer(plane: ClusterPlane): Process {
  const pki = join(plane.directory, 'pki');
  return start(plane, 'kube-apiserver', plane.parts.apiServer, [
    `--etcd-servers=${ETCD}`,
    '--bind-address=0.0.0.0',
    `--advertise-address=${HUB_ADDRESS}`,
    `--secure-port=${API_PORT}`,
    `--cert-dir=${pki}`,
    `--token-auth-file=${join(plane.directory, 'tokens.csv')}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    '--kubelet-preferred-address-types=InternalIP',
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(pki, 'sa.pub')}`,
    `--service-account-signing-key-file=${join(pki, 'sa.key')}`,
    '--service-account-extend-token-expiration=false', // a token that is asked for ten minutes is good for ten minutes
    `--audit-policy-file=${join(plane.directory, 'audit.yaml')}`,
    `--audit-log-path=${plane.auditLog}`,
    '--profiling=false',
  ]);
}

export function startRealControllers(plane: ClusterPlane): readonly Process[] {
  return [
    start(plane, 'kube-controller-manager', plane.parts.controllerManager, [
      `--kubeconfig=${plane.users.controllers.kubeconfig}`,
      '--leader-elect=false',
      `--cluster-cidr=${POD_RANGE}`,
      `--service-cluster-ip-range=${SERVICE_RANGE}`,
      `--service-account-private-key-file=${join(plane.directory, 'pki', 'sa.key')}`,
      `--root-ca-file=${plane.certificate}`,
      '--controllers=*,-cloud-node-lifecycle-controller,-bootstrap-signer-controller,-token-cleaner-controller',
    ]),
    start(plane, 'kube-scheduler', plane.parts.scheduler, [
      `--kubeconfig=${plane.kubeconfigs['scheduler']}`,
      '--leader-elect=false',
    ]),
  ];
}

function start(plane: ClusterPlane, name: string, command: string, args: readonly string[]): Process {
  return new Process({ name, namespace: plane.hub, command, args, logFile: join(plane.directory, `${name}.log`) });
}
