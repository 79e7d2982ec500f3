import { describe, expect, test } from '@jest/globals';
import { type FileObject, parseManifests } from '../../src/cli/plan-file.ts';
import { mergeApplied } from '../../src/cli/plan-merge.ts';
import { layOver } from '../../src/cli/plan-overlay.ts';
import { at, readService } from '../../src/kube/objects.ts';
import { rawNode, rawService } from '../builders.ts';

describe('a file of manifests', () => {
  const named = (content: string) => parseManifests(content, 'f').objects.map(({ kind, name }) => `${kind} ${name}`);
  const service = (name: string) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name } });

  test.each([
    { why: 'documents', content: 'kind: Service\nmetadata: {name: a}\n---\n---\nkind: Node\nmetadata: {name: n}\n' },
    {
      why: 'a list',
      content: JSON.stringify({ kind: 'List', items: [service('a'), { kind: 'Node', metadata: { name: 'n' } }] }),
    },
    {
      why: 'lists whose items do not say what they are',
      content: '{kind: ServiceList, items: [{metadata: {name: a}}]}\n---\n{kind: NodeList, items: [{metadata: {name: n}}]}',
    },
  ])('$why', ({ content }) => expect(named(content)).toEqual(['Service a', 'Node n']));

  test('what has nothing to do with it is counted', () => {
    const { objects, others } = parseManifests(
      'kind: Service\nmetadata: {name: a}\n---\nkind: Service\napiVersion: serving.knative.dev/v1\nmetadata: {name: k}\n---\nkind: Pod\n---\nkind: Pod\n',
      'f',
    );
    expect([objects.length, [...others]]).toEqual([
      1,
      [
        ['Service of serving.knative.dev/v1', 1],
        ['Pod', 2],
      ],
    ]);
  });

  test.each([
    { why: 'nothing in it', content: '', says: 'has no Service and no Node (it has nothing)' },
    { why: 'only others', content: 'kind: Pod', says: '(it has only Pod)' },
    { why: 'no YAML', content: 'kind: [', says: 'f: document 1: is not YAML' },
    {
      why: 'no YAML at many places',
      content: '# T\n```\n$ a: b: c\n```\n- [x](y)\n',
      says: /^f: document 1: is not YAML: .*, and \d+ more$/,
    },
    { why: 'no object', content: '---\n- 1\n', says: 'f: document 1: is no Kubernetes object' },
    { why: 'no name', content: 'kind: Service', says: 'f: document 1: Service: metadata.name is missing' },
    {
      why: 'one thing twice',
      content: `${JSON.stringify(service('a'))}\n---\n${JSON.stringify(service('a'))}`,
      says: 'f: document 2: Service a is already in f: document 1',
    },
    { why: 'too many aliases', content: `a: &a [x,x]\n${bomb()}`, says: 'is not YAML that can be used' },
  ])('is refused: $why', ({ content, says }) => expect(() => parseManifests(content, 'f')).toThrow(says));
});

/** Each line has the one before ten times. */
function bomb(): string {
  const names = 'abcdefghij'.split('');
  return names
    .slice(1)
    .map((name, i) => `${name}: &${name} [${Array(10).fill(`*${names[i]}`).join(',')}]`)
    .join('\n');
}

describe('a manifest that is applied', () => {
  const applied = (object: object) => ({ 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) });

  test('takes away what it said the last time, and nothing else', () => {
    const last = {
      metadata: { annotations: { mine: '1', gone: '1' } },
      spec: { loadBalancerIP: '192.0.2.1', ports: [{ port: 80 }, { port: 81 }] },
    };
    const live = rawService({
      metadata: { annotations: { mine: '1', gone: '1', theirs: '1', ...applied(last) } },
      spec: {
        loadBalancerIP: '192.0.2.1',
        ports: [80, 81, 82].map((port) => ({ port, protocol: 'TCP', nodePort: 30_000 + port })),
      },
    });
    const merged = mergeApplied(live, {
      metadata: { annotations: { mine: '2' } },
      spec: { ports: [{ port: 80, targetPort: 1 }] },
    });
    expect(readService(merged)).toMatchObject({ annotations: { mine: '2', theirs: '1' }, loadBalancerIP: '' });
    expect(readService(merged)?.annotations['gone']).toBeUndefined();
    expect(at(at(merged, 'spec'), 'ports')).toEqual([
      { port: 80, protocol: 'TCP', nodePort: 30_080, targetPort: 1 },
      { port: 82, protocol: 'TCP', nodePort: 30_082 },
    ]);
  });

  test('changes neither who the object is nor its status', () => {
    const live = rawService({
      metadata: { uid: 'u1', finalizers: ['f'] },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
    });
    const merged = mergeApplied(live, { metadata: { uid: 'u2', finalizers: ['g'] }, status: {} });
    expect(readService(merged)).toMatchObject({ uid: 'u1', finalizers: ['f', 'g'], ingress: [{ ip: '192.0.2.1' }] });
  });

  test.each([null, 1, 'x', [], {}, { metadata: 1, spec: [] }])('garbage is survived: %j', (garbage) => {
    expect(() => mergeApplied(rawService(), garbage)).not.toThrow();
    expect(() => mergeApplied(garbage, rawService())).not.toThrow();
  });
});

describe('what the API server would fill in', () => {
  const file = (spec: object, name = 'new'): FileObject => ({
    kind: 'Service',
    namespace: 'default',
    name,
    raw: { kind: 'Service', metadata: { name }, spec },
    where: 'f: document 1',
  });
  const lay = (objects: readonly FileObject[], services: readonly object[] = []) =>
    layOver({ services, nodes: [] }, objects, '2026-01-02T00:00:00Z');
  const laid = (object: FileObject, services: readonly object[] = []) => {
    const overlay = lay([object], services);
    const found = overlay.services.find((raw) => at(at(raw, 'metadata'), 'name') === object.name);
    return { ...readService(found)!, overlay };
  };

  test('a nodePort that nobody has, shown as what it is', () => {
    const taken = rawService({ spec: { ports: [{ port: 80, nodePort: 31_987 }] } });
    const { ports, overlay } = laid(file({ type: 'LoadBalancer', ports: [{ port: 80 }] }), [taken]);
    expect(ports[0]?.nodePort).toBe(31_986);
    expect(overlay.stand.unveil('port 31986, not 319861 and 1.31986')).toBe('port <nodePort-80>, not 319861 and 1.31986');
  });

  test('a port that changes its number keeps its nodePort by its name', () => {
    const last = JSON.stringify({ spec: { ports: [{ name: 'http', port: 80 }] } });
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': last };
    const live = rawService({
      metadata: { name: 'new', annotations },
      spec: { ports: [{ name: 'http', port: 80, nodePort: 30_080 }] },
    });
    const { ports } = laid(file({ ports: [{ name: 'http', port: 8080 }] }), [live]);
    expect(ports.find(({ port }) => port === 8080)?.nodePort).not.toBe(0);
    expect(ports.filter(({ nodePort }) => nodePort === 30_080)).toHaveLength(1);
  });

  test.each([
    { policy: undefined, cluster: [['IPv6']], families: ['IPv6'] },
    { policy: 'PreferDualStack', cluster: [['IPv4']], families: ['IPv4'] },
    { policy: 'PreferDualStack', cluster: [['IPv6', 'IPv4']], families: ['IPv6', 'IPv4'] },
    { policy: 'RequireDualStack', cluster: [], families: ['IPv4', 'IPv6'] },
  ])('families of $policy in a cluster with $cluster', ({ policy, cluster, families }) => {
    const services = cluster.map((ipFamilies, i) => rawService({ metadata: { name: `s${i}` }, spec: { ipFamilies } }));
    const spec = { type: 'LoadBalancer', ports: [{ port: 80 }], ...(policy ? { ipFamilyPolicy: policy } : {}) };
    expect(laid(file(spec), services).families).toEqual(families);
  });

  test.each([
    {
      why: 'a port without a name beside one that stays',
      was: [{ port: 80 }],
      ports: [{ port: 8081 }],
      says: 'default/new: the API server would refuse it: with 2 ports each needs a name (80/TCP stays, because the object was not made by kubectl apply)',
    },
    {
      why: 'a name twice',
      was: [{ name: 'http', port: 80 }],
      ports: [{ name: 'http', port: 8081 }],
      says: 'http is there twice (80/TCP stays',
    },
    { why: 'a port twice', was: undefined, ports: ['a', 'b'].map((name) => ({ name, port: 80 })), says: '80/TCP is there twice' },
  ])('is refused as the API server would: $why', ({ was, ports, says }) => {
    const live = was ? [rawService({ metadata: { name: 'new' }, spec: { ports: was } })] : [];
    expect(() => lay([file({ ports })], live)).toThrow(says);
  });

  test('a class that changes in place is refused as the API server would', () => {
    const live = rawService({ metadata: { name: 'new' } });
    expect(() => lay([file({ loadBalancerClass: 'b.io/b' })], [live])).toThrow(
      /spec.loadBalancerClass "b.io\/b".*NodePort first/,
    );
    expect(() => lay([file({ type: 'NodePort', loadBalancerClass: null })], [live])).not.toThrow();
  });

  test('a Node has the status of the file, else its own', () => {
    const raw = { kind: 'Node', metadata: { name: 'n1', labels: { a: 'b' } } };
    const object: FileObject = { kind: 'Node', namespace: '', name: 'n1', raw, where: 'f' };
    const { nodes } = layOver({ services: [], nodes: [rawNode('n1', '10.0.0.1')] }, [object], '');
    expect(nodes).toMatchObject([{ metadata: { labels: { a: 'b' } }, status: { addresses: [{ address: '10.0.0.1' }] } }]);
  });
});
