import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import type { AdoptionDocument } from '../../src/cli/plan-adopt-document.ts';
import { translateKubeVip, translateMetalLb } from '../../src/cli/plan-adopt-pools.ts';
import { toRange } from '../../src/cli/plan-adopt-ranges.ts';
import { accountEnv, makeAws } from '../providers/aws/stage.ts';
import { call } from './call.ts';
import { rawNode, rawService } from './objects.ts';
import { endAll, run } from './run.ts';
import { type RawObject, type SmallKube, startSmallKube } from './small-kube.ts';

jest.setTimeout(120_000); // for a machine that may be busy

let kube: SmallKube;
beforeEach(async () => {
  kube = await startSmallKube();
  for (const number of [1, 2]) kube.put('nodes', rawNode(`n${number}`, `10.0.0.${number}`));
});
afterEach(async () => {
  endAll();
  expect(kube.writes).toEqual([]);
  await kube.close();
});

async function adopt(from: string, ...words: readonly string[]): Promise<string> {
  const called = call(['plan', '--kubeconfig', kube.kubeconfig, '--adopt-from', from, ...words]);
  expect(await called.ended).toBe(0);
  return called.stdout();
}

async function adoptJson(from: string, ...words: readonly string[]): Promise<AdoptionDocument> {
  return JSON.parse(await adopt(from, '-o', 'json', ...words)) as AdoptionDocument;
}

const pool = (name: string, spec: object): RawObject => ({ metadata: { namespace: 'metallb-system', name }, spec });
const atIp = (ip: string) => ({ ingress: [{ ip, ipMode: 'VIP' }] });

describe('MetalLB', () => {
  beforeEach(() => {
    kube.put('ipaddresspools', pool('lan', { addresses: ['192.0.2.240/28'] }));
    kube.put('services', rawService('shop', 'web', atIp('192.0.2.240')));
  });

  test('its pools, and what becomes of each Service, with the commands to paste', async () => {
    expect(await adopt('metallb')).toBe(`# MetalLB in our words, for --config:
provider: local
localPools:
  - name: lan
    addresses:
      - 192.0.2.240-192.0.2.255
    priority: 1000

= keep shop/web at 192.0.2.240
  $ kubectl -n shop annotate service web nodeport-lb.io/addresses=192.0.2.240
  $ kubectl -n shop patch service web -p '{"spec":{"type":"NodePort"}}'
  $ kubectl -n shop patch service web -p '{"spec":{"type":"LoadBalancer","loadBalancerClass":"nodeport-lb.io/lb"}}'

Services: 1; 1 would keep their addresses, 0 would move, 0 would be refused.
Nothing was changed. Start our controller beside MetalLB, then bring Services
over one by one: a class cannot be given in place, so each goes by way of type
NodePort, and answers at its nodePorts meanwhile.
`);
  });

  test('the configuration is one that the program takes', async () => {
    const { config } = await adoptJson('metallb');
    const text = await adopt('metallb');
    expect(parse(text.slice(text.indexOf('\n'), text.indexOf('\n\n')))).toEqual(config);
    const plan = call([
      'plan',
      '--kubeconfig',
      kube.kubeconfig,
      '--provider',
      'local',
      '--local-pool',
      '192.0.2.240-192.0.2.255',
    ]);
    expect(await plan.ended).toBe(0);
  });

  test('Services at one address get a pool that lets them, and those of others are left alone', async () => {
    const dns = { ports: [{ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053, targetPort: 53 }] };
    const annotations = { 'metallb.universe.tf/allow-shared-ip': 'edge' };
    kube.put('services', rawService('shop', 'web', { ...atIp('192.0.2.240'), annotations }));
    kube.put('services', rawService('shop', 'dns', { ...atIp('192.0.2.240'), annotations, spec: dns }));
    const ssh = { ports: [{ name: 'ssh', protocol: 'TCP', port: 22, nodePort: 30022, targetPort: 22 }] };
    kube.put('services', rawService('lab', 'ssh', { ...atIp('192.0.2.240'), annotations, spec: ssh }));
    kube.put('services', rawService('shop', 'cloud', { ingress: [{ hostname: 'lb.example.com' }] }));
    const { config, services } = await adoptJson('metallb');
    expect(config).toMatchObject({ localPools: [{ name: 'lan', sharePorts: true }] });
    expect(services.map(({ service, keepsAddresses }) => [service, keepsAddresses])).toEqual([
      ['lab/ssh', true],
      ['shop/dns', true],
      ['shop/web', true],
    ]);
  });

  test('what is ours already, and in none of the pools, is named', async () => {
    const annotations = { 'nodeport-lb.io/held-addresses': '127.0.0.33' };
    kube.put('services', rawService('shop', 'ours', { held: true, ingress: [{ ip: '127.0.0.33' }], annotations }));
    const { lost, services } = await adoptJson('metallb');
    expect(lost).toEqual([expect.stringMatching(/^shop\/ours has 127\.0\.0\.33 from us already/)]);
    expect(services.map(({ service }) => service)).toEqual(['shop/web']);
  });

  test('what would be refused has its reason, and no commands', async () => {
    const annotations = { 'nodeport-lb.io/publish': 'hostname' };
    kube.put('services', rawService('shop', 'named', { ...atIp('192.0.2.241'), annotations }));
    const { services } = await adoptJson('metallb', 'shop/named');
    expect(services).toMatchObject([{ service: 'shop/named', refused: [{ reason: 'AnnotationInvalid' }], commands: [] }]);
  });
});

describe('MetalLB as it was configured before', () => {
  const metadata = { namespace: 'metallb-system', name: 'config' };

  test('a ConfigMap: its pools, and what becomes of its Services', async () => {
    const config = `peers:
- peer-address: 10.0.0.1
  peer-asn: 64501
address-pools:
- name: default
  protocol: layer2
  addresses: ["192.0.2.240-192.0.2.250", 192.0.2.251/32]
- name: far
  protocol: bgp
  auto-assign: false
  avoid-buggy-ips: true
  addresses:
  - 198.51.100.0/24
`;
    kube.put('configmaps', { metadata, data: { config } });
    kube.put('configmaps', { metadata: { ...metadata, name: 'kube-root-ca.crt' }, data: { 'ca.crt': 'x' } });
    kube.put('services', rawService('shop', 'web', { ...atIp('192.0.2.241'), spec: { loadBalancerIP: '192.0.2.241' } }));
    const { config: ours, lost, services } = await adoptJson('metallb');
    expect(ours).toEqual({
      provider: 'local',
      localPools: [
        { name: 'default', addresses: ['192.0.2.240-192.0.2.250', '192.0.2.251'], priority: 1_000 },
        { name: 'far', addresses: ['198.51.100.1-198.51.100.254'], priority: 1_000, autoAssign: false },
      ],
    });
    expect(lost).toEqual([expect.stringMatching(/^ConfigMap metallb-system\/config, pool far: nodeport-lb speaks no BGP/)]);
    expect(services).toMatchObject([{ service: 'shop/web', keepsAddresses: true }]);
  });

  test('AddressPool objects', async () => {
    kube.put('addresspools', pool('lan', { protocol: 'layer2', addresses: ['192.0.2.240/29'], autoAssign: true }));
    kube.put('services', rawService('shop', 'web', atIp('192.0.2.240')));
    const { config, services, lost } = await adoptJson('metallb');
    expect(config).toMatchObject({ localPools: [{ name: 'lan', addresses: ['192.0.2.240-192.0.2.247'] }] });
    expect([services, lost]).toMatchObject([[{ service: 'shop/web', keepsAddresses: true }], []]);
  });

  test('what cannot be read, and that there is nothing, is told', async () => {
    expect((await adoptJson('metallb')).lost).toEqual([
      expect.stringMatching(/neither IPAddressPool nor AddressPool.*nor a ConfigMap/),
    ]);
    kube.put('configmaps', { metadata, data: { config: 'address-pools: [' } });
    expect((await adoptJson('metallb')).lost).toEqual([
      expect.stringMatching(/^ConfigMap metallb-system\/config: its config is no YAML/),
    ]);
  });
});

describe('pools in other words', () => {
  test.each([
    { entry: '10.0.0.0/30', skipEnds: false, range: '10.0.0.0-10.0.0.3' },
    { entry: '10.0.0.7/30', skipEnds: false, range: '10.0.0.4-10.0.0.7' },
    { entry: '10.0.1.0/24', skipEnds: true, range: '10.0.1.1-10.0.1.254' },
    { entry: '10.0.0.16/28', skipEnds: true, range: '10.0.0.16-10.0.0.31' },
    { entry: '10.0.0.5 - 10.0.0.9', skipEnds: false, range: '10.0.0.5-10.0.0.9' },
    { entry: '10.0.0.5/32', skipEnds: false, range: '10.0.0.5' },
    { entry: 'fd00::/120', skipEnds: false, range: 'fd00::/120' },
    { entry: 'garbage', skipEnds: true, range: 'garbage' },
  ])('$entry -> $range', ({ entry, skipEnds, range }) => expect(toRange(entry, skipEnds)).toBe(range));

  test('what MetalLB says of a pool, and what of it has no counterpart', () => {
    const allocation = {
      priority: 50,
      namespaces: ['shop'],
      namespaceSelectors: [{ matchLabels: { a: 'b' } }],
      serviceSelectors: [{ matchLabels: { tier: 'web' } }],
    };
    const pools = [
      pool('first', { addresses: ['10.0.0.0/23'], autoAssign: false, avoidBuggyIPs: true, serviceAllocation: allocation }),
      pool('last', { addresses: ['10.0.9.1-10.0.9.9'] }),
    ];
    const l2 = [pool('l2', { nodeSelectors: [{}], interfaces: ['eth1'] })];
    const translation = translateMetalLb({ pools, l2, bgp: [pool('bgp', {})] });
    expect(translation.pools).toMatchObject([
      {
        name: 'first',
        addresses: ['10.0.0.1-10.0.1.254'],
        namespaces: ['shop'],
        serviceSelector: { tier: 'web' },
        priority: 50,
        autoAssign: false,
      },
      { name: 'last', priority: 1_000, autoAssign: true },
    ]);
    expect(translation.lost.map((one) => one.split(/[:;]/).slice(0, 2).join(':'))).toEqual([
      'IPAddressPool metallb-system/first: avoidBuggyIPs',
      'IPAddressPool metallb-system/first: namespaceSelectors',
      'BGPAdvertisement metallb-system/bgp: nodeport-lb speaks no BGP',
      'L2Advertisement metallb-system/l2: nodeSelectors',
      'L2Advertisement metallb-system/l2: interfaces',
    ]);
  });

  test('pools that ours would refuse are told, and are not given', () => {
    const pools = [pool('a', { addresses: ['10.0.0.1-10.0.0.9'] }), pool('b', { addresses: ['10.0.0.5/32'] })];
    const { pools: none, lost } = translateMetalLb({ pools, l2: [], bgp: [] });
    expect([none, lost]).toEqual([[], [expect.stringMatching(/localPools "10.0.0.5": of b overlaps/)]]);
  });

  test.each([null, {}, { spec: 1 }, { metadata: { name: 1 }, spec: { addresses: [1], serviceAllocation: [] } }])(
    'garbage is survived: %j',
    (garbage) => expect(translateMetalLb({ pools: [garbage], l2: [garbage], bgp: [garbage] }).pools).toEqual([]),
  );

  test("kube-vip's ConfigMap: a CIDR is tried before any range", () => {
    const data = {
      'range-global': '10.0.0.1-10.0.0.9',
      'cidr-shop': '10.0.1.0/28, 10.0.2.0/28',
      'range-shop': '10.9.0.1-10.9.0.2',
      'allow-share-shop': 'true',
      'cidr-lab': '0.0.0.0/32',
      'search-order': 'desc',
    };
    const { pools, lost } = translateKubeVip({ data });
    expect(pools).toMatchObject([
      { name: 'global', namespaces: [], priority: 1_000, sharePorts: false },
      {
        name: 'shop',
        addresses: ['10.0.1.0-10.0.1.15', '10.0.2.0-10.0.2.15'],
        namespaces: ['shop'],
        priority: 0,
        sharePorts: true,
      },
    ]);
    expect(lost).toEqual([
      expect.stringContaining('range-shop'),
      expect.stringContaining('DHCP'),
      expect.stringContaining('search-order'),
    ]);
  });
});

test('kube-vip', async () => {
  kube.put('configmaps', {
    metadata: { namespace: 'kube-system', name: 'kubevip' },
    data: { 'range-global': '192.0.2.1-192.0.2.9' },
  });
  const annotations = { 'kube-vip.io/loadbalancerIPs': '192.0.2.7', 'kube-vip.io/egress': 'true' };
  kube.put('services', rawService('shop', 'web', { ...atIp('192.0.2.7'), annotations, spec: { loadBalancerIP: '192.0.2.7' } }));
  expect(await adoptJson('kube-vip')).toMatchObject({
    config: { provider: 'local', localPools: [{ name: 'global', addresses: ['192.0.2.1-192.0.2.9'] }] },
    services: [{ service: 'shop/web', keepsAddresses: true, notes: ['kube-vip.io/egress has no counterpart'] }],
  });
});

test("k3s ServiceLB: a port that is the node's own would be refused", async () => {
  const ssh = rawService('shop', 'ssh', { ingress: [{ ip: '10.0.0.1' }], spec: { ports: [{ port: 22, nodePort: 30022 }] } });
  const metadata = { ...ssh.metadata, finalizers: ['svccontroller.k3s.cattle.io/daemonset'] } as RawObject['metadata'];
  kube.put('services', { ...ssh, metadata });
  expect((await adoptJson('klipper')).services).toMatchObject([{ notes: [expect.stringMatching(/^port 22 .* ssh/)] }]);
});

test('k3s ServiceLB: the nodes keep their addresses', async () => {
  const labels = { 'svccontroller.k3s.cattle.io/svcname': 'web', 'svccontroller.k3s.cattle.io/svcnamespace': 'shop' };
  kube.put('daemonsets', {
    metadata: { namespace: 'kube-system', name: 'svclb-web-1', labels },
    spec: { template: { spec: { nodeSelector: { 'svccontroller.k3s.cattle.io/enablelb': 'true' } } } },
  });
  kube.put('services', rawService('shop', 'web', { ingress: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] }));
  kube.put('services', rawService('shop', 'theirs', atIp('10.0.0.1')));
  expect(await adoptJson('klipper')).toMatchObject({
    config: { provider: 'local', localForwarder: 'agents' },
    lost: [expect.stringContaining('enablelb=true')],
    services: [
      {
        service: 'shop/web',
        addresses: { now: ['10.0.0.1', '10.0.0.2'], planned: ['10.0.0.1', '10.0.0.2'] },
        keepsAddresses: true,
        commands: [expect.stringContaining('"NodePort"'), expect.stringContaining('"LoadBalancer"')],
      },
    ],
  });
});

describe('AWS', () => {
  function deploy(...args: readonly string[]): void {
    const image = 'public.ecr.aws/eks/aws-load-balancer-controller:v3.0.0';
    const spec = { template: { spec: { containers: [{ image, args }] } } };
    kube.put('deployments', { metadata: { namespace: 'kube-system', name: 'lbc' }, spec });
  }
  const adoptAws = (env: Record<string, string>, ...words: readonly string[]) =>
    run(['plan', '--kubeconfig', kube.kubeconfig, '--adopt-from', 'aws-load-balancer-controller', ...words], { env });

  beforeEach(() => {
    const ingress = [{ hostname: 'k8s-1.elb.eu-west-1.amazonaws.com' }];
    const service = rawService('shop', 'web', { ingress, spec: { loadBalancerClass: 'service.k8s.aws/nlb' } });
    const metadata = { ...service.metadata, finalizers: ['service.k8s.aws/resources'] } as RawObject['metadata'];
    kube.put('services', { ...service, metadata });
  });

  test('its flags, the calls, and that the hostname is a new one', async () => {
    deploy('--cluster-name=kubernetes', '--aws-vpc-id', '$(VPC)');
    const aws = await makeAws();
    for (const number of [1, 2]) {
      const id = number.toString(16).padStart(17, '0');
      const spec = { providerID: `aws:///eu-west-1${'ab'[number - 1]}/i-${id}` };
      kube.put('nodes', { ...rawNode(`n${number}`, `10.0.0.${number}`), spec });
    }
    const { stdout } = await adoptAws(accountEnv(aws), '-o', 'json');
    const asked = Object.keys(aws.calls.counts());
    await aws.close();
    expect(asked.filter((action) => !action.startsWith('Describe'))).toEqual([]);
    const { config, lost, services, balancers } = JSON.parse(stdout) as AdoptionDocument;
    expect(config).toEqual({ provider: 'aws', awsDefaultScheme: 'internal' });
    expect(lost).toEqual([expect.stringMatching(/^--aws-vpc-id "\$\(VPC\)"/)]);
    expect(services).toMatchObject([
      { service: 'shop/web', keepsAddresses: false, notes: [expect.stringMatching(/new hostname/), expect.anything()] },
    ]);
    const created = balancers[0]?.steps.find(({ kind }) => kind === 'create-balancer');
    expect(created?.call).toMatch(/CreateLoadBalancer .*Scheme=internal/);
  });

  test('an AWS that cannot be asked leaves the rest of the answer', async () => {
    deploy('--cluster-name=prod', '--aws-vpc-id=vpc-0a1b2c3d');
    const env = { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'y', AWS_EC2_METADATA_DISABLED: 'true' };
    const { code, stdout } = await adoptAws(env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^clusterName: prod\nawsVpcId: vpc-0a1b2c3d$/m);
    expect(stdout).toMatch(/Not carried over:\n {2}- what would be asked of AWS is not known: .*region/);
    expect(stdout).toMatch(/~ move shop\/web from k8s-1/);
  });
});

test('cloud-provider-aws: an NLB of its own cannot be taken over, and what is not in AWS is not its own', async () => {
  const held = (name: string, hostname: string): RawObject => {
    const service = rawService('shop', name, { ingress: [{ hostname }] });
    const metadata = { ...service.metadata, finalizers: ['service.kubernetes.io/load-balancer-cleanup'] };
    return { ...service, metadata: metadata as RawObject['metadata'] };
  };
  kube.put('services', held('web', 'a1b2.elb.eu-west-1.amazonaws.com'));
  kube.put('services', held('elsewhere', 'lb.example.com'));
  const env = { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'y', AWS_EC2_METADATA_DISABLED: 'true' };
  const args = ['plan', '--kubeconfig', kube.kubeconfig, '--adopt-from', 'cloud-provider-aws', '-o', 'json'];
  const { code, stdout } = await run(args, { env });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    config: { provider: 'aws' },
    services: [
      {
        service: 'shop/web',
        keepsAddresses: false,
        addresses: { now: ['a1b2.elb.eu-west-1.amazonaws.com'] },
        notes: expect.arrayContaining([expect.stringMatching(/new hostname/)]),
        commands: [expect.stringContaining('"NodePort"'), expect.stringContaining('"LoadBalancer"')],
      },
    ],
  });
});

test('a file and a take-over are two questions', async () => {
  const called = call(['plan', '--kubeconfig', kube.kubeconfig, '--adopt-from', 'metallb', '-f', 'x.yaml']);
  await expect(called.ended).rejects.toThrow(/--adopt-from.*exclude/);
});
