import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { annotationTable, PREFIX } from '../../src/config/annotation-table.ts';
import { readNodePortMap } from '../../src/config/annotation-values.ts';
import { type Annotations, readAnnotations } from '../../src/config/annotations.ts';

const unset = {
  addresses: [],
  healthCheck: {},
  publish: 'auto',
  retain: false,
  weights: [],
  allowDisruption: false,
  problems: [],
  warnings: [],
  understood: [],
};

function ours(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [PREFIX + name, value]));
}

test('no annotations: everything is unset', () => expect(readAnnotations({})).toEqual(unset));

describe('values', () => {
  test.each<{ why: string; set: Record<string, string>; gives: Partial<Annotations> }>([
    { why: 'share', set: { share: 'web' }, gives: { share: 'web' } },
    { why: 'two addresses', set: { addresses: ' 10.0.0.5, FD00::0:5 ' }, gives: { addresses: ['10.0.0.5', 'fd00::5'] } },
    { why: 'one address twice', set: { addresses: '10.0.0.5 ::ffff:10.0.0.5' }, gives: { addresses: ['10.0.0.5'] } },
    { why: 'pool', set: { pool: 'public' }, gives: { pool: 'public' } },
    { why: 'PROXY protocol', set: { 'proxy-protocol': 'V2' }, gives: { proxyProtocol: 'v2' } },
    { why: 'another try', set: { retry: 'true' }, gives: { retry: true } },
    { why: 'check port', set: { 'health-check-port': '10256' }, gives: { healthCheck: { port: 10256 } } },
    { why: 'traffic port', set: { 'health-check-port': 'traffic-port' }, gives: { healthCheck: { port: 'traffic-port' } } },
    {
      why: 'the whole check',
      set: {
        'health-check-protocol': 'HTTP',
        'health-check-path': '/ready?x=1',
        'health-check-interval-seconds': '10',
        'health-check-timeout-seconds': '10',
        'health-check-healthy-threshold': '2',
        'health-check-unhealthy-threshold': '3',
      },
      gives: {
        healthCheck: {
          protocol: 'http',
          path: '/ready?x=1',
          intervalSeconds: 10,
          timeoutSeconds: 10,
          healthyThreshold: 2,
          unhealthyThreshold: 3,
        },
      },
    },
    { why: 'zero is a value, not an absence', set: { 'drain-seconds': '0' }, gives: { drainSeconds: 0 } },
    { why: 'idle timeout', set: { 'idle-timeout-seconds': '350' }, gives: { idleTimeoutSeconds: 350 } },
    {
      why: 'node labels',
      set: { 'node-selector': 'example.com/pool=edge, zone=' },
      gives: { nodeSelector: { 'example.com/pool': 'edge', zone: '' } },
    },
    { why: 'publish', set: { publish: 'hostname' }, gives: { publish: 'hostname' } },
    { why: 'booleans', set: { retain: 'true', 'allow-disruption': '1' }, gives: { retain: true, allowDisruption: true } },
    {
      why: 'ARN',
      set: { 'aws-load-balancer-arn': annotationTable['aws-load-balancer-arn'].example },
      gives: { awsLoadBalancerArn: annotationTable['aws-load-balancer-arn'].example },
    },
  ])('$why', ({ set, gives }) => expect(readAnnotations(ours(set))).toEqual({ ...unset, ...gives }));

  test.each(Object.entries(annotationTable))('the example of %s is valid', (name, row) => {
    expect(readAnnotations(ours({ [name]: row.example }))).toMatchObject({ problems: [], warnings: [] });
  });
});

describe('bad values count as not set and are named', () => {
  test.each<[name: string, value: string]>([
    ['share', ''],
    ['share', 'a/b'],
    ['addresses', ''],
    ['addresses', '10.0.0.256'],
    ['addresses', '10.1'],
    ['addresses', 'fe80::1%eth0'],
    ['addresses', Array.from({ length: 17 }, (_, i) => `10.0.0.${i}`).join()],
    ['pool', '-x'],
    ['proxy-protocol', 'v3'],
    ['health-check-protocol', 'https'],
    ['health-check-port', '0'],
    ['health-check-port', '65536'],
    ['health-check-port', '0x50'],
    ['health-check-path', 'healthz'],
    ['health-check-path', '/a b'],
    ['health-check-interval-seconds', '10s'],
    ['health-check-timeout-seconds', '121'],
    ['health-check-healthy-threshold', '0'],
    ['health-check-unhealthy-threshold', '1.5'],
    ['drain-seconds', '-1'],
    ['idle-timeout-seconds', '1e3'],
    ['node-selector', 'a=b,a=c'],
    ['node-selector', 'a'],
    ['node-selector', 'a=b=c'],
    ['publish', 'both'],
    ['retain', 'yes please'],
    ['aws-load-balancer-arn', 'arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/x/1'],
  ])('%s=%j', (name, value) => {
    const { problems, ...rest } = readAnnotations(ours({ [name]: value }));
    expect({ ...rest, problems: [] }).toEqual(unset);
    expect(problems).toEqual([
      { annotation: PREFIX + name, value: expect.any(String), message: expect.stringContaining('must be ') },
    ]);
  });

  test('a timeout above the interval', () => {
    const set = ours({ 'health-check-interval-seconds': '5', 'health-check-timeout-seconds': '6' });
    expect(readAnnotations(set).problems).toEqual([
      { annotation: `${PREFIX}health-check-timeout-seconds`, value: '6', message: 'must be at most the interval, 5' },
    ]);
  });

  test('a long value is cut', () => {
    expect(readAnnotations(ours({ share: 'x'.repeat(1e5) })).problems[0]!.value).toHaveLength(81);
  });
});

describe('names that have no effect', () => {
  test.each<{ why: string; name: string; nearest?: string; warned?: boolean }>([
    { why: 'misspelt', name: `${PREFIX}drain-secons`, nearest: `${PREFIX}drain-seconds` },
    { why: 'two letters swapped', name: `${PREFIX}pulbish`, nearest: `${PREFIX}publish` },
    { why: 'prefix without .io', name: 'nodeport-lb/share', nearest: `${PREFIX}share` },
    { why: 'prefix off by a letter', name: 'nodeportlb.io/share', nearest: `${PREFIX}share` },
    { why: 'nothing like it', name: `${PREFIX}make-coffee` },
    { why: "AWS's", name: 'service.beta.kubernetes.io/aws-load-balancer-scheme', warned: false },
    {
      why: "AWS's with a suffix",
      name: 'service.beta.kubernetes.io/aws-load-balancer-target-group-attributes.80',
      warned: false,
    },
    {
      why: "AWS's, misspelt",
      name: 'service.beta.kubernetes.io/aws-load-balancer-shceme',
      nearest: 'service.beta.kubernetes.io/aws-load-balancer-scheme',
    },
    { why: "somebody else's", name: 'metallb.io/address-pool', warned: false },
    { why: 'without a prefix', name: 'share', warned: false },
    { why: 'our own record', name: `${PREFIX}held-addresses`, warned: false },
    { why: 'a node annotation on a Service', name: `${PREFIX}node-port-map` },
  ])('$why', ({ name, nearest, warned = true }) => {
    const { warnings } = readAnnotations({ [name]: 'x' });
    expect(warnings.map((w) => w.annotation)).toEqual(warned ? [name] : []);
    expect(warnings[0]?.nearest).toBe(nearest);
  });

  test('what another provider reads is named as ignored once the provider is known', () => {
    const set = { ...ours({ pool: 'a' }), 'service.beta.kubernetes.io/aws-load-balancer-scheme': 'internal' };
    const ignored = (provider?: string) => readAnnotations(set, provider).warnings.map((w) => w.annotation.split('/')[1]);
    expect(ignored()).toEqual([]);
    expect(ignored('local')).toEqual(['aws-load-balancer-scheme']);
    expect(ignored('aws')).toEqual(['pool']);
    expect(ignored('./ours.js')).toEqual([]);
  });

  test('there are never more than 20 warnings', () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`${PREFIX}x${i}`, '']));
    expect(readAnnotations(many).warnings).toHaveLength(20);
  });
});

test('whatever is in the annotations, reading gives values, and twice the same ones', () => {
  const name = fc.oneof(
    fc.constantFrom(...Object.keys(annotationTable)).map((n) => PREFIX + n),
    fc.string().map((s) => PREFIX + s),
    fc.string(),
    fc.constantFrom('__proto__', 'constructor', `${PREFIX}__proto__`, `${PREFIX}toString`, '/', ''),
  );
  const value = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.integer().map(String), fc.ipV6(), fc.ipV4(), fc.json());
  fc.assert(
    fc.property(fc.dictionary(name, value), (annotations) => {
      const read = readAnnotations(annotations, 'local');
      expect(read).toEqual(readAnnotations(annotations, 'local'));
      expect(read.drainSeconds ?? 0).toBeGreaterThanOrEqual(0);
      expect(read.warnings.length).toBeLessThanOrEqual(20);
    }),
    { numRuns: 1000 },
  );
});

describe('node port map', () => {
  test.each<{ value: string; map: Record<number, string>; all?: string; bad: string[] }>([
    { value: '', map: {}, bad: [] },
    { value: '*=127.0.0.1', map: {}, all: '127.0.0.1', bad: [] },
    { value: '30123=127.0.0.1:1, *=[::1] ,*=127.0.0.2', map: { 30123: '127.0.0.1:1' }, all: '::1', bad: [] },
    { value: '*=localhost,*=,*', map: {}, bad: ['*=localhost', '*=', '*'] },
    { value: '30123=127.0.0.1:49153', map: { 30123: '127.0.0.1:49153' }, bad: [] },
    { value: '30123=127.0.0.1:1, 30124=[::1]:2,', map: { 30123: '127.0.0.1:1', 30124: '[::1]:2' }, bad: [] },
    {
      value: '30123=host:1,70000=127.0.0.1:1,1=127.0.0.1:0,x',
      map: {},
      bad: ['30123=host:1', '70000=127.0.0.1:1', '1=127.0.0.1:0', 'x'],
    },
  ])('$value', ({ value, ...read }) => expect(readNodePortMap(value)).toEqual(read));

  test('any text at all', () => fc.assert(fc.property(fc.string(), (text) => void readNodePortMap(text))));
});

describe('annotations of MetalLB and kube-vip', () => {
  const read = (annotations: Record<string, string>, provider = 'local') => {
    const { addresses, pool, share, understood, problems } = readAnnotations(annotations, provider);
    return { addresses, pool, share, told: understood.map((u) => `${u.annotation} ${u.message}`), problems };
  };

  test.each<{ why: string; set: Record<string, string>; gives: object; told: readonly RegExp[] }>([
    {
      why: 'MetalLB’s addresses, two families',
      set: { 'metallb.io/loadBalancerIPs': '10.0.0.5,fd00::5' },
      gives: { addresses: ['10.0.0.5', 'fd00::5'] },
      told: [/^metallb.io\/loadBalancerIPs is read as nodeport-lb.io\/addresses: "10.0.0.5,fd00::5"/],
    },
    {
      why: 'MetalLB’s newer prefix beats its older one',
      set: { 'metallb.universe.tf/address-pool': 'old', 'metallb.io/address-pool': 'new' },
      gives: { pool: 'new' },
      told: [/^metallb.io\/address-pool is read as/, /^metallb.universe.tf\/address-pool has no effect beside metallb.io/],
    },
    {
      why: 'kube-vip’s addresses',
      set: { 'kube-vip.io/loadbalancerIPs': '10.0.0.5' },
      gives: { addresses: ['10.0.0.5'] },
      told: [/is read as/],
    },
    {
      why: 'kube-vip’s DHCP means nothing',
      set: { 'kube-vip.io/loadbalancerIPs': '0.0.0.0' },
      gives: { addresses: [] },
      told: [/DHCP/],
    },
    {
      why: 'ours beats theirs',
      set: { 'metallb.io/loadBalancerIPs': '10.0.0.5', 'nodeport-lb.io/addresses': '10.0.0.6' },
      gives: { addresses: ['10.0.0.6'] },
      told: [/has no effect beside nodeport-lb.io\/addresses/],
    },
    {
      why: 'a sharing key that is no DNS label',
      set: { 'metallb.universe.tf/allow-shared-ip': 'Key of DNS!' },
      gives: { share: expect.stringMatching(/^key-[0-9a-f]{16}$/) },
      told: [/is read as nodeport-lb.io\/share: "key-/],
    },
  ])('$why', ({ set, gives, told }) => {
    const found = read(set);
    expect(found).toMatchObject({ ...gives, problems: [] });
    expect(found.told).toEqual(told.map((one) => expect.stringMatching(one)));
  });

  test('what is wrong with theirs is told under its own name', () =>
    expect(read({ 'metallb.io/loadBalancerIPs': 'ten' }).problems).toMatchObject([{ annotation: 'metallb.io/loadBalancerIPs' }]));

  test('another provider reads none of them but the sharing key', () =>
    expect(read({ 'metallb.io/loadBalancerIPs': '10.0.0.5', 'metallb.io/address-pool': 'p' }, 'aws')).toMatchObject({
      addresses: [],
      pool: undefined,
      told: [],
    }));
});
