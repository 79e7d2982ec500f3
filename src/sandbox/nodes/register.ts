import { arch, release } from 'node:os';
import { KUBE_PROXY_PORT } from './addresses.ts';
import type { PodPlace } from './pods.ts';

/** The Node object with which a node of the sandbox joins. */
export function nodeObject(place: PodPlace) {
  const podCIDR = `${place.podPrefix}.0/24`;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: place.name,
      labels: {
        'kubernetes.io/hostname': place.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture(),
        'node-role.kubernetes.io/worker': '',
      },
    },
    spec: { podCIDR, podCIDRs: [podCIDR], providerID: place.providerId ?? `sandbox://${place.name}` },
    status: statusOf(place),
  };
}

function statusOf(place: PodPlace): object {
  const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const healthy = { status: 'False', reason: 'Sandbox', message: 'this node is a stand-in', lastTransitionTime: now };
  const resources = { cpu: '2', memory: '2Gi', pods: '110' };
  return {
    addresses: [
      { type: 'InternalIP', address: place.address },
      { type: 'Hostname', address: place.name },
    ],
    conditions: [
      { ...healthy, type: 'MemoryPressure', lastHeartbeatTime: now },
      { ...healthy, type: 'Ready', status: 'True', lastHeartbeatTime: now },
    ],
    capacity: resources,
    allocatable: resources,
    daemonEndpoints: { kubeletEndpoint: { Port: KUBE_PROXY_PORT } },
    nodeInfo: {
      machineID: place.name,
      systemUUID: place.name,
      bootID: place.name,
      kernelVersion: release(),
      osImage: 'nodeport-lb sandbox',
      containerRuntimeVersion: 'sandbox://1',
      kubeletVersion: 'v1.36.3',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: architecture(),
    },
  };
}

function architecture(): string {
  return arch() === 'x64' ? 'amd64' : arch();
}
