import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parse } from 'yaml';
import type { Config } from '../../src/config/config.ts';
import { fileKeyOf, flagOf, variableOf } from '../../src/config/option-names.ts';
import { controllerOptions, type OptionName, options } from '../../src/config/options.ts';
import { readOptions, type Sources, toConfig } from '../../src/config/read.ts';

function read(sources: Partial<Sources>, names: readonly OptionName[] = controllerOptions) {
  return readOptions(names, { flags: {}, env: {}, ...sources });
}

function fromYaml(text: string): Pick<Sources, 'file'> {
  return { file: { name: 'nlb.yaml', content: parse(text) } };
}

const pool = { namespaces: [], serviceSelector: {}, priority: 0, autoAssign: true, sharePorts: false };

interface Row {
  readonly option: Exclude<(typeof controllerOptions)[number], 'config'>;
  readonly flag: readonly (string | true)[];
  readonly variable: string;
  readonly yaml: string;
  readonly value: unknown;
  /** Another valid value, as text. */
  readonly other: string;
  /** Where it ends up in the configuration. */
  readonly at: (config: Config) => unknown;
}

const rows: readonly Row[] = [
  {
    option: 'kubeconfig',
    flag: ['a.yaml'],
    variable: 'a.yaml',
    yaml: 'a.yaml',
    value: 'a.yaml',
    other: 'b',
    at: (c) => c.kubeconfig,
  },
  { option: 'context', flag: ['kind-a'], variable: 'kind-a', yaml: 'kind-a', value: 'kind-a', other: 'b', at: (c) => c.context },
  {
    option: 'provider',
    flag: ['local'],
    variable: 'local',
    yaml: 'local',
    value: 'local',
    other: './x.js',
    at: (c) => c.provider,
  },
  {
    option: 'providerOptions',
    flag: ['host=10.0.0.1,port=80'],
    variable: 'host=10.0.0.1, port=80',
    yaml: '{host: 10.0.0.1, port: "80"}',
    value: { host: '10.0.0.1', port: '80' },
    other: 'a=b',
    at: (c) => c.providerOptions,
  },
  {
    option: 'awsApiThrottle',
    flag: ['register=20:100', 'describe=0.5:5'],
    variable: 'register=20:100, describe=0.5:5',
    yaml: '{register: "20:100", describe: "0.5:5"}',
    value: { register: { perSecond: 20, burst: 100 }, describe: { perSecond: 0.5, burst: 5 } },
    other: 'modify=1:1',
    at: (c) => c.aws.apiThrottle,
  },
  {
    option: 'clusterName',
    flag: ['stage'],
    variable: 'stage',
    yaml: 'stage',
    value: 'stage',
    other: 'b',
    at: (c) => c.clusterName,
  },
  {
    option: 'loadBalancerClass',
    flag: ['example.com/lb'],
    variable: 'example.com/lb',
    yaml: 'example.com/lb',
    value: 'example.com/lb',
    other: 'b',
    at: (c) => c.loadBalancerClass,
  },
  {
    option: 'claimUnsetClass',
    flag: ['true'],
    variable: 'true',
    yaml: 'true',
    value: 'true',
    other: 'false',
    at: (c) => c.claimUnsetClass,
  },
  {
    option: 'namespaces',
    flag: ['a,b'],
    variable: 'a, b',
    yaml: '[a, b]',
    value: ['a', 'b'],
    other: 'c',
    at: (c) => c.namespaces,
  },
  {
    option: 'leaderElect',
    flag: ['true'],
    variable: 'TRUE',
    yaml: 'true',
    value: true,
    other: 'false',
    at: (c) => c.leaderElect,
  },
  {
    option: 'leaderElectNamespace',
    flag: ['lb'],
    variable: 'lb',
    yaml: 'lb',
    value: 'lb',
    other: 'b',
    at: (c) => c.leaderElectNamespace,
  },
  {
    option: 'leaderElectName',
    flag: ['lb-blue'],
    variable: 'lb-blue',
    yaml: 'lb-blue',
    value: 'lb-blue',
    other: 'b',
    at: (c) => c.leaderElectName,
  },
  {
    option: 'leaderElectLeaseDuration',
    flag: ['15s'],
    variable: '15s',
    yaml: '15s',
    value: '15s',
    other: '4s',
    at: (c) => `${(c.leaderElectLeaseMs ?? 0) / 1_000}s`,
  },
  {
    option: 'nodeAddressTypes',
    flag: ['ExternalIP', 'InternalIP'],
    variable: 'ExternalIP,InternalIP',
    yaml: '[ExternalIP, InternalIP]',
    value: ['ExternalIP', 'InternalIP'],
    other: 'InternalIP',
    at: (c) => c.nodeAddressTypes,
  },
  {
    option: 'http',
    flag: ['[::1]:8090'],
    variable: '[::1]:8090',
    yaml: '"[::1]:8090"',
    value: { host: '::1', port: 8090 },
    other: ':0',
    at: (c) => c.http,
  },
  { option: 'dryRun', flag: [true], variable: '1', yaml: 'true', value: true, other: 'false', at: (c) => c.dryRun },
  {
    option: 'shareAcrossNamespaces',
    flag: [true],
    variable: 'true',
    yaml: 'true',
    value: true,
    other: 'false',
    at: (c) => c.shareAcrossNamespaces,
  },
  { option: 'logLevel', flag: ['debug'], variable: 'debug', yaml: 'debug', value: 'debug', other: 'warn', at: (c) => c.logLevel },
  {
    option: 'localPool',
    flag: ['10.0.0.0/28,10.0.1.5', '10.0.2.1-10.0.2.9'],
    variable: '10.0.0.0/28,10.0.1.5; 10.0.2.1-10.0.2.9',
    yaml: '[{addresses: [10.0.0.0/28, 10.0.1.5]}, 10.0.2.1-10.0.2.9]',
    value: [
      { ...pool, name: 'pool-1', addresses: ['10.0.0.0/28', '10.0.1.5'] },
      { ...pool, name: 'pool-2', addresses: ['10.0.2.1-10.0.2.9'] },
    ],
    other: 'fd00::/64',
    at: (c) => c.local.pools,
  },
  {
    option: 'localDatapath',
    flag: ['nftables'],
    variable: 'nftables',
    yaml: 'nftables',
    value: 'nftables',
    other: 'auto',
    at: (c) => c.local.datapath,
  },
  {
    option: 'localForwarder',
    flag: ['agents'],
    variable: 'agents',
    yaml: 'agents',
    value: 'agents',
    other: 'embedded',
    at: (c) => c.local.forwarder,
  },
  {
    option: 'localAgentsNamespace',
    flag: ['lb-agents'],
    variable: 'lb-agents',
    yaml: 'lb-agents',
    value: 'lb-agents',
    other: 'elsewhere',
    at: (c) => c.local.agentsNamespace,
  },
  {
    option: 'localPortFallback',
    flag: [true],
    variable: 'true',
    yaml: 'true',
    value: true,
    other: 'false',
    at: (c) => c.local.portFallback,
  },
  {
    option: 'awsRegion',
    flag: ['eu-west-1'],
    variable: 'eu-west-1',
    yaml: 'eu-west-1',
    value: 'eu-west-1',
    other: 'us-gov-east-1',
    at: (c) => c.aws.region,
  },
  {
    option: 'awsVpcId',
    flag: ['vpc-0a1b2c3d'],
    variable: 'vpc-0a1b2c3d',
    yaml: 'vpc-0a1b2c3d',
    value: 'vpc-0a1b2c3d',
    other: 'vpc-00000000',
    at: (c) => c.aws.vpcId,
  },
  {
    option: 'awsDefaultScheme',
    flag: ['internal'],
    variable: 'internal',
    yaml: 'internal',
    value: 'internal',
    other: 'internet-facing',
    at: (c) => c.aws.defaultScheme,
  },
];

test('the table has every option of the controller', () => {
  expect(['config', ...rows.map((row) => row.option)].toSorted()).toEqual([...controllerOptions].toSorted());
});

describe.each(rows)('$option', ({ option, flag, variable, yaml, value, other, at }) => {
  const otherYaml = JSON.stringify(other);
  const flags = { [option]: flag };
  const env = { [variableOf(option)]: variable };
  const file = fromYaml(`${fileKeyOf(option)}: ${yaml}`);
  const expectValue = (sources: Partial<Sources>) => {
    const { values, problems } = read(sources);
    expect(problems).toEqual([]);
    expect(values).toEqual({ [option]: value });
    expect(at(toConfig(values))).toEqual(value);
  };
  test('by flag', () => expectValue({ flags }));
  test('by variable', () => expectValue({ env }));
  test('by file', () => expectValue(file));
  test('the flag beats the variable and the file', () => {
    expectValue({ flags, env: { [variableOf(option)]: other }, ...fromYaml(`${fileKeyOf(option)}: ${otherYaml}`) });
  });
  test('the variable beats the file', () => expectValue({ env, ...fromYaml(`${fileKeyOf(option)}: ${otherYaml}`) }));
  test('an empty variable counts as not set', () => expectValue({ env: { [variableOf(option)]: '' }, ...file }));
  test('a value that is not valid is told wherever it stands', () => {
    const { problems } = read({
      flags: { [option]: ['\0'] },
      env: { [variableOf(option)]: '\0' },
      ...fromYaml(`${fileKeyOf(option)}: "\\0"`),
    });
    expect(problems.map((p) => p.where)).toEqual([flagOf(option), variableOf(option), `nlb.yaml: ${fileKeyOf(option)}`]);
    for (const problem of problems) expect(problem.message).toMatch(/must be|allowed:|at most/);
  });
});

test.each(Object.entries(options))('the example of %s is valid', (name) => {
  const option = options[name as OptionName];
  expect(read({ env: { [variableOf(name)]: option.example } }, [name as OptionName]).problems).toEqual([]);
});

test('a token is not repeated in a complaint about it', () => {
  const { problems } = read({ flags: { token: ['s3cret s3cret'] }, env: { NODEPORT_LB_TOKEN: 's3cret s3cret' } }, ['token']);
  expect(problems).toEqual([
    { where: '--token', message: 'must be a token without spaces' },
    { where: 'NODEPORT_LB_TOKEN', message: 'must be a token without spaces' },
  ]);
});

describe('defaults', () => {
  test('what depends on the cluster stays open', () => {
    expect(toConfig({})).toEqual({
      provider: 'none',
      providerOptions: {},
      clusterName: 'kubernetes',
      loadBalancerClass: 'nodeport-lb.io/lb',
      claimUnsetClass: 'auto',
      namespaces: [],
      nodeAddressTypes: ['InternalIP', 'ExternalIP'],
      dryRun: false,
      shareAcrossNamespaces: false,
      logLevel: 'info',
      local: { pools: [], datapath: 'auto', portFallback: false },
      aws: { defaultScheme: 'internet-facing' },
    });
  });
  test('http off is no http', () => expect(toConfig(read({ flags: { http: ['off'] } }).values).http).toBeUndefined());
});

describe('names that are not known', () => {
  test.each<{ why: string; sources: Partial<Sources>; told: string[] }>([
    {
      why: 'a key of the file',
      sources: fromYaml('loadbalancerClass: x\nprovider: local'),
      told: ['nlb.yaml: loadbalancerClass: is not an option; did you mean loadBalancerClass?'],
    },
    {
      why: 'the file naming itself',
      sources: fromYaml('config: x'),
      told: ['nlb.yaml: config: is not an option'],
    },
    {
      why: 'a variable with our prefix',
      sources: { env: { NODEPORT_LB_PROVDER: 'local', HOME: '/' } },
      told: ['NODEPORT_LB_PROVDER: is not a variable of ours; did you mean NODEPORT_LB_PROVIDER?'],
    },
    {
      why: "Kubernetes' own variables for a Service named like us",
      sources: {
        env: {
          NODEPORT_LB_SERVICE_HOST: '10.96.0.9',
          NODEPORT_LB_SERVICE_PORT: '8090',
          NODEPORT_LB_SERVICE_PORT_HTTP: '8090',
          NODEPORT_LB_PORT: 'tcp://10.96.0.9:8090',
          NODEPORT_LB_PORT_8090_TCP: 'tcp://10.96.0.9:8090',
          NODEPORT_LB_PORT_8090_TCP_PROTO: 'tcp',
          NODEPORT_LB_METRICS_SERVICE_HOST: '10.96.0.10',
          NODEPORT_LB_METRICS_PORT_8090_TCP_ADDR: '10.96.0.10',
        },
      },
      told: [],
    },
    {
      why: 'a file that is a list',
      sources: fromYaml('- a'),
      told: ['nlb.yaml: must be a map of options, such as `provider: local`'],
    },
    { why: 'an empty file', sources: fromYaml(''), told: [] },
  ])('$why', ({ sources, told }) => {
    expect(read(sources).problems.map((p) => `${p.where}: ${p.message}`)).toEqual(told);
  });
});

describe('values that are not valid', () => {
  test.each<{ option: OptionName; value: string; told: string }>([
    { option: 'awsApiThrottle', value: 'register=20', told: 'RATE:BURST' },
    { option: 'awsApiThrottle', value: 'register=0:20', told: 'from 0.1 to 10000' },
    { option: 'awsApiThrottle', value: 'registr=4:20', told: 'did you mean register?' },
    { option: 'http', value: 'localhost', told: 'HOST:PORT' },
    { option: 'http', value: '1.2.3.4:65536', told: 'HOST:PORT' },
    { option: 'provider', value: 'lo cal', told: 'must be none, local, aws' },
    { option: 'claimUnsetClass', value: 'flase', told: 'auto, true or false; did you mean false?' },
    { option: 'namespaces', value: 'a,B', told: 'is not the name of a namespace' },
    { option: 'namespaces', value: ',', told: 'must be namespaces' },
    { option: 'nodeAddressTypes', value: 'InternalIp', told: 'must be InternalIP or ExternalIP' },
    { option: 'leaderElect', value: 'maybe', told: 'must be true or false' },
    { option: 'loadBalancerClass', value: '/x', told: 'must be a label key' },
    { option: 'awsRegion', value: 'Ireland', told: 'must be a region' },
    { option: 'localPool', value: '', told: 'is empty' },
    { option: 'localPool', value: '10.0.0.0', told: '' },
    { option: 'localPool', value: '10.0.0.0/33', told: 'is not a CIDR: write ADDRESS/BITS with 0 to 32 bits' },
    { option: 'localPool', value: '10.0.0.5/24', told: 'lies inside the network 10.0.0.0/24' },
    { option: 'localPool', value: '10.0.0.9-10.0.0.5', told: 'write 10.0.0.5-10.0.0.9' },
    { option: 'localPool', value: '10.0.0.9-fd00::1', told: 'of different IP families' },
    { option: 'localPool', value: '10.0.0.9-', told: 'is not a range' },
    { option: 'localPool', value: 'nonsense', told: 'is neither a CIDR, a range nor an address' },
    { option: 'localPool', value: '010.0.0.1', told: 'is neither' },
    { option: 'localPool', value: '0.0.0.0/0', told: 'no client can connect to: 0.0.0.0/8' },
    { option: 'localPool', value: '239.0.0.1', told: 'multicast' },
    { option: 'localPool', value: 'fd00::/129', told: '0 to 128 bits' },
    { option: 'localPool', value: 'ff02::1', told: 'multicast' },
    { option: 'localPool', value: 'fd00::/48', told: '' },
    { option: 'localPool', value: '10.0.0.0/28,10.0.0.15', told: 'overlaps 10.0.0.0/28 of pool-1' },
  ])('$option $value', ({ option, value, told }) => {
    const { problems } = read({ flags: { [option]: [value] } });
    expect(problems.map((p) => p.message).join('\n')).toContain(told);
    expect(problems.length).toBe(told === '' ? 0 : 1);
  });

  test('pools of the file are told by place, all at once', () => {
    const { problems } = read(
      fromYaml(`
localPools:
  - name: a
    addresses: [10.0.0.0/28, 10.0.0.300]
    adresses: []
  - name: a
    namespaces: [Shop]
    priority: high
    serviceSelector: [x]
    autoAssign: perhaps
    addresses: 10.1.0.0/16
  - name: c
  - 5
`),
    );
    expect(problems.map((p) => `${p.where} ${p.value ?? ''}`)).toEqual([
      'nlb.yaml: localPools[0].addresses 10.0.0.300',
      'nlb.yaml: localPools[0].adresses []',
      'nlb.yaml: localPools[1].namespaces ["Shop"]',
      'nlb.yaml: localPools[1].priority high',
      'nlb.yaml: localPools[1].serviceSelector ["x"]',
      'nlb.yaml: localPools[1].autoAssign perhaps',
      expect.stringContaining('nlb.yaml: localPools[2] '),
      expect.stringContaining('nlb.yaml: localPools[3] '),
    ]);
    expect(problems[1]!.message).toContain('did you mean addresses?');
  });

  test('two pools of one name, and an address in two pools', () => {
    const { problems } = read(fromYaml('localPools: [{name: a, addresses: fd00::/64}, {name: a, addresses: fd00::5-fd00::9}]'));
    expect(problems.map((p) => `${p.value} ${p.message}`)).toEqual([
      'a is the name of two pools',
      'fd00::5-fd00::9 of a overlaps fd00::/64 of a',
    ]);
  });
});

test('a flag without its value', () => {
  expect(read({ flags: { http: [true] } }).problems).toEqual([
    { where: '--http', message: expect.stringContaining('needs a value: HOST:PORT') },
  ]);
});

test('the whole of a pool by file', () => {
  const whole = {
    name: 'public',
    addresses: ['192.0.2.0/28'],
    namespaces: ['shop'],
    serviceSelector: { tier: 'front' },
    priority: -1,
    autoAssign: false,
    sharePorts: true,
  };
  expect(read({ file: { name: 'x', content: { localPools: [whole] } } })).toEqual({
    values: { localPool: [whole] },
    problems: [],
  });
});

test('a list that contains itself', () => {
  expect(read(fromYaml('namespaces: &a [*a]')).problems[0]?.value).toBe('a value that contains itself');
});

test('a choice that is a mapping which cannot be turned into text', () => {
  const content = { claimUnsetClass: { toString: [] } };
  expect(read({ file: { name: 'x', content } }).problems).toEqual([
    { where: 'x: claimUnsetClass', value: '{"toString":[]}', message: expect.stringContaining('must be') },
  ]);
});

test('anything at all in the file gives values or problems', () => {
  const keys = fc.constantFrom(...Object.keys(options), 'localPools', '__proto__', 'x');
  fc.assert(
    fc.property(fc.dictionary(keys, fc.anything({ maxDepth: 4 })), (content) => {
      const { values, problems } = read({ file: { name: 'x', content } });
      for (const problem of problems) expect(problem.where).toMatch(/^x: /);
      expect(toConfig(values).provider).toEqual(expect.any(String));
    }),
    { numRuns: 500 },
  );
});
