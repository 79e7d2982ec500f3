import { afterAll, beforeAll, describe } from '@jest/globals';
import { Client, type KubeUnderTest } from './kube/client.ts';
import { deletionContract } from './kube/deletion.ts';
import { discoveryContract } from './kube/discovery.ts';
import { endpointsContract } from './kube/endpoints.ts';
import { kindsContract } from './kube/kinds.ts';
import { listContract } from './kube/lists.ts';
import { managedFieldsContract } from './kube/managed-fields.ts';
import { nodePortContract } from './kube/node-ports.ts';
import { objectContract } from './kube/objects.ts';
import { patchContract } from './kube/patches.ts';
import { serviceContract } from './kube/services.ts';
import { statusContract } from './kube/status.ts';
import { watchContract } from './kube/watches.ts';

export type { KubeUnderTest } from './kube/client.ts';

/** What the tests of one part are given. */
export interface Scene {
  readonly client: () => Client;
  readonly server: () => KubeUnderTest;
  /** Creates a namespace that nobody else uses. @returns `/api/v1/namespaces/NAME` */
  readonly namespace: () => Promise<string>;
}

/**
 * What this project relies on in a Kubernetes API server, over raw HTTP. It runs unchanged against the sandbox and against a real
 * kube-apiserver with its controller manager, so that the sandbox cannot lie.
 */
export function kubeApiContract(start: () => Promise<KubeUnderTest>): void {
  describe('Kubernetes API', () => {
    let server: KubeUnderTest;
    let client: Client;
    beforeAll(async () => {
      server = await start();
      client = new Client(server);
    }, 120_000);
    afterAll(async () => {
      client?.close();
      await server?.close();
    }, 120_000);
    const scene: Scene = { client: () => client, server: () => server, namespace: () => newNamespace(client) };
    objectContract(scene);
    listContract(scene);
    watchContract(scene);
    patchContract(scene);
    statusContract(scene);
    deletionContract(scene);
    managedFieldsContract(scene);
    serviceContract(scene);
    nodePortContract(scene);
    endpointsContract(scene);
    kindsContract(scene);
    discoveryContract(scene);
  });
}

let namespaces = 0;

async function newNamespace(client: Client): Promise<string> {
  namespaces += 1;
  const name = `contract-${process.pid}-${Date.now().toString(36)}-${namespaces}`;
  const reply = await client.post('/api/v1/namespaces', { metadata: { name } });
  if (reply.status !== 201) throw new Error(`namespace ${name} was not created: ${JSON.stringify(reply.body)}`);
  return `/api/v1/namespaces/${name}`;
}
