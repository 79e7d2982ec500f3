import { expect, test } from '@jest/globals';
import type { Service } from '../../src/kube/objects.ts';
import { service } from '../builders.ts';
import { makeStage } from './cluster-stage.ts';

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
