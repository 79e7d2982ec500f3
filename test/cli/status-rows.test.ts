import { describe, expect, test } from '@jest/globals';
import { describeStatus } from '../../src/cli/status-rows.ts';
import { renderStatusTable } from '../../src/cli/status-text.ts';
import { service } from '../builders.ts';

const around = { count: () => 3, loadBalancerClass: 'nodeport-lb.io/lb' };
const said = (reason: string) => [
  { type: 'nodeport-lb.io/Ready', status: 'False', reason, message: 'm', lastTransitionTime: '2026-01-01T00:00:00Z' },
];

test.each([
  { why: 'refused as it is written now, it serves on', ingress: [{ ip: '192.0.2.1' }], reason: 'AnnotationInvalid', healthy: 3 },
  { why: 'refused from the start, it serves nobody', ingress: [], reason: 'PoolExhausted', healthy: 0 },
  { why: 'no target is healthy', ingress: [{ ip: '192.0.2.1' }], reason: 'NoHealthyTargets', healthy: 0 },
])('targets: $why', ({ ingress, reason, healthy }) => {
  const held = service({
    metadata: { finalizers: ['nodeport-lb.io/cleanup'] },
    status: { loadBalancer: { ingress }, conditions: said(reason) },
  });
  expect(describeStatus(held, around).targets).toEqual({ healthy, total: 3 });
});

describe('the data path, and what hides the client', () => {
  const row = (provider: string, datapath: string, part: { annotations?: object; policy?: string } = {}) => {
    const annotations = {
      'nodeport-lb.io/held-by': `${provider}/c`,
      ...(datapath === '' ? {} : { 'nodeport-lb.io/datapath': datapath }),
      ...part.annotations,
    };
    const metadata = { finalizers: ['nodeport-lb.io/cleanup'], annotations };
    return describeStatus(service({ metadata, spec: { externalTrafficPolicy: part.policy ?? 'Cluster' } }), around);
  };

  test.each([
    {
      why: 'userspace',
      datapath: 'userspace: as asked for',
      says: 'hidden by userspace (connections of its own) and kube-proxy (externalTrafficPolicy Cluster)',
    },
    {
      why: 'the kernel, under policy Local',
      datapath: 'nftables: allowed',
      policy: 'Local',
      says: 'hidden by nftables (masquerade)',
    },
    { why: 'kube-proxy, under policy Local', datapath: 'kube-proxy: as asked for', policy: 'Local', says: 'kept' },
    { why: 'kube-proxy', datapath: 'kube-proxy: as asked for', says: 'hidden by kube-proxy (externalTrafficPolicy Cluster)' },
    {
      why: 'agents that differ',
      datapath: 'nftables: x\nuserspace: y',
      policy: 'Local',
      says: 'hidden by userspace (connections of its own) and nftables (masquerade)',
    },
    { why: 'nothing is known', datapath: '', policy: 'Local', says: '' },
    {
      why: 'a header',
      datapath: 'userspace: as asked for',
      annotations: { 'nodeport-lb.io/proxy-protocol': 'v2' },
      says: 'in the PROXY protocol v2 header',
    },
    {
      why: 'a header that another member asks for',
      datapath: 'userspace: the PROXY protocol is written by userspace',
      says: 'in the PROXY protocol header',
    },
  ])('$why', ({ datapath, says, ...part }) => expect(row('local', datapath, part).clientAddress).toBe(says));

  test('a balancer outside hides nobody; only kube-proxy may', () => {
    expect(row('aws', '', { policy: 'Local' })).toMatchObject({ datapaths: [], clientAddress: 'kept' });
    expect(row('aws', '').clientAddress).toBe('hidden by kube-proxy (externalTrafficPolicy Cluster)');
  });

  test('garbage in the note is not shown', () => {
    expect(row('local', 'userspace\n: x\nnftables: because').datapaths).toEqual([{ datapath: 'nftables', why: 'because' }]);
    expect(describeStatus(service({}), around)).toMatchObject({ datapaths: [], clientAddress: '' });
  });

  test('the wide table says why a Service needs userspace', () => {
    const needy = row(
      'local',
      'userspace: the PROXY protocol is written by userspace\nnftables: rights, machine and rule allow it',
    );
    const table = renderStatusTable([needy], 'wide', undefined, 0);
    expect(table).toMatch(/ userspace \(the PROXY protocol is written by userspace\),nftables {2,}in the PROXY protocol header/);
  });

  test('the wide table has both, in a few words; the reasons are in the story of one Service', () => {
    const both = row('local', 'userspace: as asked for\nnftables: rights, machine and rule allow it\nnftables: the same again');
    const long = { ...both, message: `${'Nobody answers at 10.0.0.1. '.repeat(20)}The cure is elsewhere.` };
    const table = renderStatusTable([both, long], 'wide', undefined, 0);
    expect(table).toMatch(/DATA-PATH +CLIENT-ADDRESS +MESSAGE/);
    expect(table).toMatch(/ userspace,nftables {2}hidden by userspace and nftables and kube-proxy {2,}\S/);
    expect(table.split('\n')[2]).toMatch(/ {2}Nobody answers at 10\.0\.0\.1\.$/);
    for (const line of table.split('\n')) expect(line.length).toBeLessThan(260);
  });

  test('on a terminal the wide table gives up sentences first, and nothing that is copied', () => {
    const wanted = row('local', 'userspace: as asked for');
    const lines = renderStatusTable(
      [{ ...wanted, message: 'x'.repeat(200), addresses: ['2001:db8::1234'] }],
      'wide',
      180,
      0,
    ).split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(180);
    expect(lines[1]).toContain('2001:db8::1234');
  });
});
