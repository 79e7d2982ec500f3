import { expect, test } from '@jest/globals';
import { makeCluster } from '../../src/controller/cluster.ts';
import type { Service } from '../../src/kube/objects.ts';
import { nameOf } from '../../src/model.ts';
import { service } from '../builders.ts';

function makeStage() {
  const services = new Map<string, Service>();
  const cluster = makeCluster({
    shareAcrossNamespaces: false,
    addressTypes: ['InternalIP'],
    find: (name) => services.get(name),
  });
  const put = (one: Service): readonly string[] => {
    const before = services.get(nameOf(one));
    services.set(nameOf(one), one);
    return cluster.serviceChanged(before, one);
  };
  return { cluster, put };
}

function withPort(name: string, port: number, nodePort: number, type = 'LoadBalancer'): Service {
  const ports = [{ name: 'p', port, protocol: 'TCP', nodePort }];
  return service({ metadata: { name, uid: `uid-${name}` }, spec: { type, loadBalancerClass: undefined, ports } });
}

test('who has a NodePort is known, and who wants that port looks again when it comes or goes', () => {
  const { cluster, put } = makeStage();
  const users = () => cluster.surroundings.nodePortUsers?.('30080/TCP');
  put(withPort('web', 30_080, 31_000));
  expect(users()).toEqual([]);
  expect(put(withPort('api', 81, 30_080, 'NodePort'))).toContain('default/web');
  expect(users()).toEqual(['default/api']);
  expect(put(withPort('api', 82, 30_080, 'NodePort'))).not.toContain('default/web'); // nothing has changed for it
  expect(put(withPort('api', 82, 30_081, 'NodePort'))).toContain('default/web');
  expect(users()).toEqual([]);
  expect(put(withPort('same', 30_080, 30_080))).toEqual(expect.arrayContaining(['default/web', 'default/same']));
  expect(users()).toEqual(['default/same']);
});
